package bench

import (
	"context"
	"time"

	"troupe/actors"
)

// Round is what one round has measured.
type Round struct {
	Prefill       float64 `json:"prefill_tokens_per_second"`
	Decode        float64 `json:"decode_tokens_per_second"`
	ReadBandwidth float64 `json:"read_bandwidth"` // bytes a second, by the probes before and behind decode
	MultiplyPeak  float64 `json:"multiply_peak"`  // multiply-adds a second, by the probes before and behind prefill
	DecodeRatio   float64 `json:"decode_bandwidth_ratio"`
	PrefillRatio  float64 `json:"multiply_peak_ratio"`
	Others        float64 `json:"others"` // part of the processors' time that others had; -1: unknown
	Noisy         bool    `json:"noisy"`

	activeBytes int64
}

// limits is what the probes say at one moment.
type limits struct{ read, multiply float64 }

func (r *run) limits(s *subject) limits {
	if s.Away {
		return limits{}
	}
	return limits{
		read:     r.probe.Read(s.Threads.Decode, r.ProbeTime),
		multiply: r.probe.Multiply(s.unit, s.Threads.Prefill, r.ProbeTime/2),
	}
}

// round measures: probe, prefill, probe, decode, probe.
func (r *run) round(ctx context.Context, s *subject) (Round, error) {
	start := lookAtUsage()
	a := r.limits(s)
	var b limits
	m, err := r.measure(ctx, s.engine, s.gate, func() { b = r.limits(s) })
	if err != nil {
		return Round{}, err
	}
	if !m.held { // so few tokens that all came at once
		b = a
	}
	c := r.limits(s)
	round := Round{
		Prefill: ratio(float64(r.Streams*r.Prompt), m.prefill.Seconds()), Decode: m.rate,
		ReadBandwidth: (b.read + c.read) / 2, MultiplyPeak: (a.multiply + b.multiply) / 2,
		Others: lookAtUsage().othersSince(start),
	}
	round.Noisy = !s.Away && round.Others > NoisyShare
	round.activeBytes = s.cost.active(max(m.rows, 1), m.experts, r.Prompt+r.Generate/2)
	round.DecodeRatio = ratio(float64(round.activeBytes)*round.Decode, round.ReadBandwidth)
	round.PrefillRatio = ratio(float64(s.cost.macs)*round.Prefill, round.MultiplyPeak)
	return round, nil
}

// measured is one run of all requests.
type measured struct {
	prefill             time.Duration
	rows, experts, rate float64 // of decode: per batch, per batch, rows a second
	held                bool
}

// measure runs the requests and calls probe while the engine is held between prompt and decode.
func (r *run) measure(ctx context.Context, e *actors.Engine, g *gate, probe func()) (m measured, err error) {
	prompt := r.Prompt * r.Streams
	holdAt := 0
	if r.Streams == 1 {
		holdAt = prompt
	}
	g.reset(holdAt)
	defer g.finish()
	begin := time.Now()
	f := generate(ctx, e, r.requests)
	if r.Streams > 1 { // some decode while others are not there yet
		<-f.began
		m.prefill = time.Since(begin)
		g.armed.Store(true)
	}
	m.held = g.hold(f.ended, func() {
		if r.Streams == 1 {
			m.prefill = g.prefilled(prompt).Sub(begin)
		}
		probe()
	})
	err = f.wait(ctx)
	m.rows, m.experts, m.rate = g.decode(r.Streams)
	return m, err
}

// quiet leaves noisy rounds out, unless they are more than half.
func quiet(rounds []Round) []Round {
	var list []Round
	for _, r := range rounds {
		if !r.Noisy {
			list = append(list, r)
		}
	}
	if 2*len(list) < len(rounds) {
		return rounds
	}
	return list
}
