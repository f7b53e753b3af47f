package stages

import (
	"errors"
	"slices"

	"troupe/kernels"
	"troupe/model"
)

// Bindings say who computes in one generation: what serves, what stands behind it, what is on trial.
type Bindings struct {
	Serve kernels.Binding
	Back  *kernels.Binding // serves where Serve fails, and is what it is verified against; nil: none
	Trial *kernels.Binding // runs beside and is compared; nil: none
	// Batches is in how many batches all layers of what is on trial are to be compared once at least.
	Batches int
	// Verify is the share of batches, drawn for each layer, for which the second library of a piece runs beside the
	// first: the earlier one, or the built-in one behind a lent one.
	Verify float64
}

// choice is who computes a call, by names of variants, each once: the first that does not fail.
type choice struct {
	chain [maxChain]string // "" behind the last
	trial string           // "": none, or the same as what serves
}

const maxChain = 3

// chooser remembers which variants the names of a binding mean: there are as many calls as a model has.
type chooser struct {
	Bindings
	open     map[string]*library
	variants map[string]string // by name in a binding
}

// variant finds what a name means. A library that is open can be bound by its name even if it has been taken off
// the list since.
func (b *chooser) variant(name string) (string, error) {
	if v, ok := b.variants[name]; ok {
		return v, nil
	}
	if b.open[name] != nil {
		return name, nil
	}
	v, err := kernels.Find(name)
	if err != nil {
		return "", err
	}
	b.variants[name] = v.Name
	return v.Name, nil
}

// choose finds who computes a call. Where all are lent, the best of those that are built in is behind them.
func (b *chooser) choose(c *kernels.Call) (ch choice, err error) {
	n := 0
	add := func(name string) {
		v, e := b.variant(name)
		if err == nil {
			err = e
		}
		if e == nil && !slices.Contains(ch.chain[:n], v) {
			ch.chain[n] = v
			n++
		}
	}
	add(b.Serve.Library(c.Op, c.Layer))
	if b.Back != nil {
		add(b.Back.Library(c.Op, c.Layer))
	}
	if !slices.ContainsFunc(ch.chain[:n], func(name string) bool { return !kernels.Lent(name) }) {
		add("")
	}
	if b.Trial == nil || err != nil {
		return ch, err
	}
	if ch.trial, err = b.variant(b.Trial.Library(c.Op, c.Layer)); ch.trial == ch.chain[0] {
		ch.trial = ""
	}
	return ch, err
}

// site is a place where a device runs calls: a segment of a stage, or an expert.
type site struct {
	expert int // -1: of a stage
	calls  []kernels.Call
	tap    Tap
}

// Compile compiles what the device computes under bindings, for a generation that Programs.Install then gives
// to the lane. Kernels of live programs are used again where library and calls are the same.
func (l *Libraries) Compile(generation uint64, b Bindings) (*Program, error) {
	p := l.newProgram(generation, b)
	for i := range l.sites {
		if err := l.compile(p, i); err != nil {
			return nil, errors.Join(err, l.Release(p))
		}
	}
	p.divide(b.Batches)
	if err := l.needShadow(p); err != nil {
		return nil, errors.Join(err, l.Release(p))
	}
	return p, nil
}

// add takes in what the device computes and compiles it for generation 0. It returns the number of the site.
func (l *Libraries) add(s site, slots []model.SlotSpec) (int, error) {
	l.sites, l.slots = append(l.sites, s), slots
	l.first.verify = threshold(l.Verify)
	if err := l.compile(l.first, len(l.sites)-1); err != nil {
		return 0, err
	}
	return len(l.sites) - 1, l.needShadow(l.first)
}

// compile adds the segment of a site to a program.
func (l *Libraries) compile(p *Program, at int) error {
	p.segments = append(p.segments, nil)
	seg, s := &p.segments[at], &l.sites[at]
	for lo := 0; lo < len(s.calls); {
		hi, ch, err := l.cut(s, lo, p.chooser)
		if err != nil {
			return err
		}
		*seg = append(*seg, piece{calls: s.calls[lo:hi], tap: s.tap, site: at, expert: s.expert})
		if err := l.fill(p, &(*seg)[len(*seg)-1], at, lo, hi, ch); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// cut finds the end of the piece that begins at a call: where the choice changes, and where a slot is written
// that the piece has touched. So a piece never writes what it has read, and can be run twice, by two
// libraries, from the same inputs; and each call's outputs are still there behind its last one.
func (l *Libraries) cut(s *site, lo int, b *chooser) (hi int, ch choice, err error) {
	if ch, err = b.choose(&s.calls[lo]); err != nil {
		return 0, ch, err
	}
	var touched [1 << 8]bool
	for hi = lo; hi < len(s.calls); hi++ {
		c := &s.calls[hi]
		if hi > lo {
			if l.Wrap != nil || s.tap != nil || slices.ContainsFunc(c.Out, func(o kernels.Slot) bool { return touched[o] }) {
				break
			}
			if next, err := b.choose(c); err != nil || next != ch {
				return hi, ch, err
			}
		}
		for _, slots := range [][]kernels.Slot{c.In, c.Out} {
			for _, slot := range slots {
				touched[slot] = true
			}
		}
	}
	return hi, ch, nil
}

// fill has a piece compiled by everyone who may compute it.
func (l *Libraries) fill(p *Program, pc *piece, at, lo, hi int, ch choice) error {
	for _, name := range ch.chain {
		if name == "" {
			break
		}
		u, err := l.unit(name, at, lo, hi)
		if err != nil {
			return err
		}
		pc.chain = append(pc.chain, u)
		p.uses(u.lib)
	}
	p.doubled = p.doubled || len(pc.chain) > 1
	if ch.trial == "" {
		return nil
	}
	u, err := l.unit(ch.trial, at, lo, hi)
	if err != nil {
		return err
	}
	pc.trial = u
	p.uses(u.lib)
	p.tests(pc)
	return nil
}

// resolve turns steps into calls by finding their weights; find looks one name up.
func resolve(steps []model.Step, layer int, find func(string) (*kernels.Weight, error)) ([]kernels.Call, error) {
	calls := make([]kernels.Call, 0, len(steps))
	for _, s := range steps {
		c := kernels.Call{Op: s.Op, Layer: layer, In: s.In, Out: s.Out, Params: s.Params}
		for _, name := range s.Weights {
			w, err := find(name)
			if err != nil {
				return nil, err
			}
			c.Weights = append(c.Weights, w)
		}
		calls = append(calls, c)
	}
	return calls, nil
}
