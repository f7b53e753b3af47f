package sweep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"troupe/actors"
	"troupe/kernels"
	"troupe/lab"
	"troupe/lab/journal"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sched"
)

// Options say what is measured.
type Options struct {
	Model     model.Config
	Weights   stages.Weights // to count bytes
	Arith     kernels.Arith
	Documents []lab.Document
	Policies  []router.Policy // each once, Default among them
	Default   router.Policy   // what others are compared with
	Seeds     int             // of policies by chance: each is measured with the seeds 1 to Seeds, which are averaged
	Compare   bool            // measure divergence from Default and agreement with it
	Requests  int             // in flight while documents are judged
	Memory    int64           // for logits of Default; see [lab.Judge]
	Trial     Trial
	// Progress is told of tokens computed, of those that Run has to compute; may be nil.
	Progress func(done, all int64)
}

// Version is that of the lines of measurements.
const Version = 1

// Sweep is a set of measurements, some of which are there.
type Sweep struct {
	Options
	variants []variant
	prompts  [][]int32        // of the streams of a trial
	quality  [][]*lab.Quality // [variants][documents], nil: missing
	speeds   [][]*speed       // [policies][repetitions], nil: missing
}

// variant is a policy with a seed.
type variant struct {
	policy int // in Options.Policies
	router.Policy
}

// New checks the options.
func New(o Options) (*Sweep, error) {
	s := &Sweep{Options: o}
	tokens := 0
	for i := range o.Documents {
		tokens += o.Documents[i].Judged()
	}
	if tokens == 0 {
		return nil, fmt.Errorf("sweep: %d documents without a token to judge: want texts of two tokens at least", len(o.Documents))
	}
	for i, p := range o.Policies {
		for _, earlier := range o.Policies[:i] {
			if p.Equal(earlier) {
				return nil, fmt.Errorf("sweep: experts %v stands twice, want each policy once", p)
			}
		}
		seeds := 1
		if p.Random() {
			seeds = max(o.Seeds, 1)
		}
		for seed := range seeds {
			if p.Random() {
				p = p.Seeded(uint64(seed + 1))
			}
			s.variants = append(s.variants, variant{i, p})
		}
	}
	if s.base() < 0 {
		return nil, fmt.Errorf("sweep: the default, experts %v, is not among the policies", o.Default)
	}
	if err := s.setPrompts(); err != nil {
		return nil, err
	}
	for range s.variants {
		s.quality = append(s.quality, make([]*lab.Quality, len(o.Documents)))
	}
	for range o.Policies {
		s.speeds = append(s.speeds, make([]*speed, o.Trial.Repetitions))
	}
	return s, nil
}

// base is the index of the default policy; -1: it is not there.
func (s *Sweep) base() int { return slices.IndexFunc(s.Policies, s.Default.Equal) }

// Fields say what is measured, for a journal: everything that measurements depend on and that these options know.
func (s *Sweep) Fields() ([]journal.Field, error) {
	identity, err := lab.Identity(s.Model, s.Weights)
	if err != nil {
		return nil, err
	}
	tokens := 0
	for i := range s.Documents {
		tokens += s.Documents[i].Judged()
	}
	fields := []journal.Field{
		{Name: "model", Value: identity}, {Name: "arith", Value: s.Arith.String()},
		{Name: "text", Value: several(tokens, "token") + " of " + several(len(s.Documents), "document")}, {Name: "texts", Value: lab.Identities(s.Documents)},
		{Name: "default", Value: s.Default.String()}, {Name: "comparing", Value: fmt.Sprint(s.Compare)}, {Name: "trial", Value: s.Trial.String()},
		{Name: "number of policies", Value: fmt.Sprint(len(s.variants))},
	}
	for i, v := range s.variants {
		fields = append(fields, journal.Field{Name: fmt.Sprint("policy ", i), Value: v.String()})
	}
	return fields, nil
}

// Measurement is one line: a document under a policy, or one repetition of the trial.
type Measurement struct {
	Policy     string       `json:"policy"` // with its seed
	Document   *int         `json:"document,omitempty"`
	Quality    *lab.Quality `json:"quality,omitempty"`
	Repetition *int         `json:"repetition,omitempty"`
	Prefill    float64      `json:"prefill_tokens_per_second,omitempty"`
	Decode     float64      `json:"decode_tokens_per_second,omitempty"`
}

// Take takes a measurement of an earlier run, a line of JSON. One that is there already counts once.
func (s *Sweep) Take(line []byte) error {
	var m Measurement
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	v := slices.IndexFunc(s.variants, func(v variant) bool { return v.String() == m.Policy })
	if v < 0 {
		return fmt.Errorf("experts %q are not measured here", m.Policy)
	}
	switch d, r := m.Document, m.Repetition; {
	case d != nil && m.Quality != nil && *d >= 0 && *d < len(s.Documents) && m.Quality.Tokens == s.Documents[*d].Judged():
		s.quality[v][*d] = m.Quality
	case r != nil && *r >= 0 && *r < s.Trial.Repetitions:
		s.speeds[s.variants[v].policy][*r] = &speed{m.Prefill, m.Decode}
	default:
		return errors.New("no measurement of these documents and repetitions")
	}
	return nil
}

// Missing is how many measurements are not there, of how many.
func (s *Sweep) Missing() (missing, all int) {
	for _, list := range s.quality {
		all += len(list)
		for _, q := range list {
			if q == nil {
				missing++
			}
		}
	}
	for _, list := range s.speeds {
		all += len(list)
		for _, v := range list {
			if v == nil {
				missing++
			}
		}
	}
	return missing, all
}

// Run measures what is missing on an engine that has room for Requests, and hands each measurement to add, one at
// a time. It ends with the first error; what add has taken is there then.
func (s *Sweep) Run(ctx context.Context, e *actors.Engine, add func(Measurement) error) error {
	work := &progress{tell: s.Progress, all: s.left()}
	policies := make([]router.Policy, len(s.variants))
	for i, v := range s.variants {
		policies[i] = v.Policy
	}
	j := lab.Judge{Engine: e, Model: s.Model, Requests: s.Requests, Compare: s.Compare, Base: s.Default, Memory: s.Memory, Progress: func(n int) { work.add(n) }}
	err := j.Run(ctx, s.Documents, policies, func(d, v int) bool { return s.quality[v][d] != nil }, func(u lab.Unit) error {
		if err := add(Measurement{Policy: policies[u.Policy].String(), Document: &u.Document, Quality: &u.Quality}); err != nil {
			return err
		}
		s.quality[u.Policy][u.Document] = &u.Quality
		return nil
	})
	if err != nil {
		return err
	}
	return s.trials(ctx, e, work, add)
}

// left is how many tokens Run has to compute.
func (s *Sweep) left() (n int64) {
	for _, list := range s.quality {
		for d, q := range list {
			if q == nil {
				n += int64(s.Documents[d].Judged())
			}
		}
	}
	for _, list := range s.speeds {
		for _, v := range list {
			if v == nil {
				n += s.Trial.tokens()
			}
		}
	}
	return n
}

// progress counts; its calls come one at a time.
type progress struct {
	tell      func(done, all int64)
	done, all int64
}

func (p *progress) add(n int) {
	if p.done += int64(n); p.tell != nil {
		p.tell(p.done, p.all)
	}
}

// Longest is one request of each kind that Run hands in, the longest of its kind, to size an engine for them and to have
// them checked before one is started.
func (s *Sweep) Longest() (list []sched.Request) {
	longest := slices.MaxFunc(s.Documents, func(a, b lab.Document) int { return cmp.Compare(len(a.IDs), len(b.IDs)) })
	for _, v := range s.variants {
		list = append(list, lab.Requests(longest, []router.Policy{v.Policy}, s.Compare)...)
		list = append(list, s.requests(v.Policy)...)
	}
	return list
}
