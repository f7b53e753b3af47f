package bench

// Report is the result of Run. The first subject stands on top, as its JSON keys are a promise; others
// are compared with it.
type Report struct {
	Result
	Machine         Machine      `json:"machine"`
	PromptTokens    int          `json:"prompt_tokens"`
	GeneratedTokens int          `json:"generated_tokens"`
	Streams         int          `json:"streams"`
	Repetitions     int          `json:"repetitions"`              // asked for
	Resident        int64        `json:"resident_bytes,omitempty"` // of the whole program, without the probes' memory
	Compared        []Comparison `json:"compared_with,omitempty"`  // the other subjects
	Incomplete      bool         `json:"incomplete,omitempty"`     // stopped before all rounds were done
}

// Result is what was measured of one subject. Rates are a second.
type Result struct {
	Kernels        string `json:"kernels"`
	Arith          string `json:"arith"`
	Threads        int    `json:"threads"`
	ThreadsPrefill int    `json:"threads_prefill"`
	// Away: devices are on other hosts. What probes say is then 0, no round is noisy, and there are no Ops.
	Away          bool    `json:"away,omitempty"`
	Prefill       Stat    `json:"prefill_tokens_per_second"`
	Decode        Stat    `json:"decode_tokens_per_second"`
	ReadBandwidth Stat    `json:"read_bandwidth"` // bytes a second
	MultiplyPeak  Stat    `json:"multiply_peak"`  // multiply-adds a second
	MultiplyUnit  string  `json:"multiply_unit"`
	ActiveBytes   int64   `json:"active_bytes_per_token"`
	DecodeRatio   float64 `json:"decode_bandwidth_ratio"`
	PrefillRatio  float64 `json:"multiply_peak_ratio"`
	// MatmulRatio is that of the time of linear and expert alone; 0: not known, as with several devices.
	MatmulRatio float64 `json:"multiply_peak_ratio_matmuls,omitempty"`
	MACs        int64   `json:"multiply_adds_per_token"` // of linear and expert
	// Ops is empty where streams were over before the engine could be held between prompt and decode.
	Ops    []OpTime `json:"ops,omitempty"`
	Rounds []Round  `json:"rounds"`
	Noisy  int      `json:"noisy_rounds"` // left out of the medians unless they are most
}

// Comparison is another subject, and its speed over that of the first, in rounds next to each other.
type Comparison struct {
	Result
	PrefillSpeedup Stat `json:"prefill_speedup"`
	DecodeSpeedup  Stat `json:"decode_speedup"`
}

func (r *run) report() *Report {
	first := r.subjects[0]
	p := &Report{
		Result: first.result(), Machine: ThisMachine(), PromptTokens: r.Prompt, GeneratedTokens: r.Generate,
		Streams: r.Streams, Repetitions: r.Repetitions, Resident: max(0, r.resident-int64(r.probe.Size())),
	}
	for _, s := range r.subjects[1:] {
		c := Comparison{Result: s.result()}
		n := min(len(s.rounds), len(first.rounds))
		c.PrefillSpeedup = pairwise(s.rounds[:n], first.rounds[:n], func(r Round) float64 { return r.Prefill })
		c.DecodeSpeedup = pairwise(s.rounds[:n], first.rounds[:n], func(r Round) float64 { return r.Decode })
		p.Compared = append(p.Compared, c)
	}
	p.Incomplete = r.done < (r.Repetitions+1)*len(r.subjects)
	return p
}

// pairwise sums up ratios of rounds.
func pairwise(a, b []Round, of func(Round) float64) Stat {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = ratio(of(a[i]), of(b[i]))
	}
	return StatOf(ratios)
}

func (s *subject) result() Result {
	rounds := quiet(s.rounds)
	r := Result{
		Kernels: s.Kernels, Arith: s.Arith.String(), Threads: s.Threads.Decode, ThreadsPrefill: s.Threads.Prefill, Away: s.Away,
		Prefill:       StatBy(rounds, func(r Round) float64 { return r.Prefill }),
		Decode:        StatBy(rounds, func(r Round) float64 { return r.Decode }),
		ReadBandwidth: StatBy(rounds, func(r Round) float64 { return r.ReadBandwidth }),
		MultiplyPeak:  StatBy(rounds, func(r Round) float64 { return r.MultiplyPeak }),
		MultiplyUnit:  s.unit.Name,
		ActiveBytes:   int64(StatBy(rounds, func(r Round) float64 { return float64(r.activeBytes) }).Median),
		DecodeRatio:   StatBy(rounds, func(r Round) float64 { return r.DecodeRatio }).Median,
		PrefillRatio:  StatBy(rounds, func(r Round) float64 { return r.PrefillRatio }).Median,
		MatmulRatio:   s.matmuls, MACs: s.cost.macs, Ops: s.ops, Rounds: s.rounds,
	}
	for _, round := range s.rounds {
		if round.Noisy {
			r.Noisy++
		}
	}
	return r
}
