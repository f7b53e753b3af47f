package stages

import (
	"math"
	"slices"

	"troupe/kernels"
)

// Program is what a device computes in one generation, compiled off its lane. From Install to Drop it is the
// lane's.
type Program struct {
	Generation uint64
	chooser    *chooser
	segments   []segment // by site
	libraries  []*library
	tried      []*library // of these, on trial
	verify     uint64     // layers of batches that mix to less are verified
	doubled    bool       // pieces have more than one library
	parts      int        // of what is on trial; a batch compares one
	begun      bool       // a batch has come
	first      uint64     // its ID
	shadow     *shadow
	seen       []bool // experts compared, by site
	over       bool   // nothing more is compared
	tally      Tally
}

// segment is a run of calls, as pieces that each one library computes.
type segment []piece

type piece struct {
	calls  []kernels.Call
	chain  []*unit // serving first, then whoever runs the calls when it fails
	trial  *unit   // nil: none
	tap    Tap
	site   int
	expert int // -1: of a stage
	part   int // of what is on trial
}

// maxParts bounds the parts: a batch that runs a fourth of its layers twice holds up the stream by a fourth of its
// time, and one that ran them all twice by all of it.
const maxParts = 4

// divide puts the layers that have a library on trial into parts, one for each batch of a round: every batch runs
// some layers twice rather than all, and so many batches as there are parts have compared every layer.
func (p *Program) divide(batches int) {
	var layers []int
	for _, seg := range p.segments {
		for i := range seg {
			if pc := &seg[i]; pc.trial != nil && !slices.Contains(layers, pc.layer()) {
				layers = append(layers, pc.layer())
			}
		}
	}
	p.parts = max(1, min(maxParts, batches, len(layers)))
	for _, seg := range p.segments {
		for i := range seg {
			seg[i].part = max(0, slices.Index(layers, seg[i].layer())) % p.parts
		}
	}
}

func (pc *piece) layer() int { return pc.calls[0].Layer }

// turn is the part of what is on trial that a batch compares.
func (p *Program) turn(batch uint64) int {
	if !p.begun {
		p.begun, p.first = true, batch
	}
	return int((batch - p.first) % uint64(p.parts))
}

func (l *Libraries) newProgram(generation uint64, b Bindings) *Program {
	return &Program{Generation: generation, verify: threshold(b.Verify), parts: 1,
		chooser: &chooser{Bindings: b, open: l.open, variants: map[string]string{}}}
}

// threshold turns a share of batches into a bound on their mixed IDs.
func threshold(share float64) uint64 {
	switch {
	case share >= 1:
		return math.MaxUint64
	case share > 0:
		return uint64(share * (1 << 63) * 2)
	}
	return 0
}

// sampled tells whether a layer of a batch is verified: its expected share is the same as that of batches, but one
// batch does not run all of its layers twice.
func (p *Program) sampled(batch uint64, layer int) bool {
	if p.verify == 0 || !p.doubled {
		return false
	}
	return mix(mix(batch)+uint64(layer)) <= p.verify
}

// mix is the finalizer of splitmix64 (Steele, Lea and Flood 2014), by which neighbours do not follow a pattern.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (p *Program) uses(lib *library) {
	if !slices.Contains(p.libraries, lib) {
		p.libraries = append(p.libraries, lib)
	}
}

// tests notes a piece with a trial.
func (p *Program) tests(pc *piece) {
	p.tally.Pieces++
	if !slices.Contains(p.tried, pc.trial.lib) {
		p.tried = append(p.tried, pc.trial.lib)
	}
	for i := range pc.calls {
		p.tally.Changed[pc.calls[i].Op] = true
	}
	if pc.expert >= 0 {
		p.tally.Experts++
	}
}

// Trials says how many pieces have a library on trial, how many of these are experts, and which libraries these are.
func (p *Program) Trials() (pieces, experts int, libraries []string) {
	for _, lib := range p.tried {
		libraries = append(libraries, lib.name)
	}
	return p.tally.Pieces, p.tally.Experts, libraries
}

// Serving lists the libraries that serve, each once.
func (p *Program) Serving() (names []string) {
	for _, seg := range p.segments {
		for i := range seg {
			if name := seg[i].chain[0].lib.name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Uses tells whether the program has kernels of a library.
func (p *Program) Uses(name string) bool {
	return slices.ContainsFunc(p.libraries, func(l *library) bool { return l.name == name })
}

// Programs is what the lane of a device knows of its kernels: the program of every generation that has batches
// on their way. Only the lane uses it once the device runs.
type Programs struct {
	// Clock counts nanoseconds; nil: nothing is timed. It is set before the device runs.
	Clock func() int64
	// Tell hears of faults and mismatches at once, and must not wait. It is set before the device runs.
	Tell func(Report)

	live []*Program
}

// Install adds a program; batches of its generation may come from now on. In earlier generations nothing more is
// compared: what was to be learned from them is known.
func (s *Programs) Install(p *Program) {
	for _, earlier := range s.live {
		earlier.over = true
	}
	s.live = append(s.live, p)
}

// Drop takes a program out whose last batch has passed, so that it can be released.
func (s *Programs) Drop(p *Program) {
	s.live = slices.DeleteFunc(s.live, func(q *Program) bool { return q == p })
}

// LeaveAlone has a library fail here that another device reports as wrong, in the generations up to that report's:
// where there is another one, that computes.
func (s *Programs) LeaveAlone(r Report) {
	for _, p := range s.live {
		for _, lib := range p.libraries {
			if lib.name == r.Library && p.Generation <= r.Generation {
				lib.failed = true
			}
		}
	}
}

// find is the program of a generation, nil if there is none.
func (s *Programs) find(generation uint64) *Program {
	for i := len(s.live) - 1; i >= 0; i-- {
		if s.live[i].Generation == generation {
			return s.live[i]
		}
	}
	return nil
}

// Tally is what comparing has shown in a generation so far.
func (s *Programs) Tally(generation uint64) Tally {
	if p := s.find(generation); p != nil {
		return p.tally
	}
	return Tally{}
}

// Counters are those of every library that a live program uses.
func (s *Programs) Counters() (all []Counters) {
	var seen []*library
	for _, p := range s.live {
		for _, lib := range p.libraries {
			if !slices.Contains(seen, lib) {
				seen = append(seen, lib)
				c := *lib.count
				c.PID, c.Failed = lib.PID(), lib.failed
				all = append(all, c)
			}
		}
	}
	return all
}
