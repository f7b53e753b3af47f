//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// product computes y = x · w for several matrices of the same x. Under Int8 an int8 matrix meets quantised
// activations; x is quantised once for all matrices with the same scale groups.
type product struct {
	lib     *Library
	arith   kernels.Arith
	weights []*kernels.Weight
	on      []*weight
}

func newProduct(k *kernel, a kernels.Arith, weights []*kernels.Weight) product {
	p := product{lib: k.lib, arith: a, weights: weights}
	for _, w := range weights {
		p.on = append(p.on, k.current[w])
	}
	return p
}

func (p *product) int8(w *kernels.Weight) bool { return p.arith == kernels.Int8 && w.Quantised() }

// quantised is the size of n rows as int8, and of their scales behind them.
func quantised(w *kernels.Weight, n int) (values, scales int) {
	values = n * w.Groups * kernels.GroupLines(w.In, w.Groups) * kernels.LineInputs
	return (values + align - 1) / align * align, 4 * n * kernels.NumBlocks(w.In, w.Groups)
}

// scratch is what the quantised rows take.
func (p *product) scratch(n int) int {
	most := 0
	for _, w := range p.weights {
		if p.int8(w) {
			values, scales := quantised(w, n)
			most = max(most, values+scales)
		}
	}
	return most
}

// rows says what a product works on: n rows of x, those that row names if it is not 0; the results go to the rows of y
// that dst names, or follow each other.
type rows struct {
	x, row, dst device.Ptr
	n           int
	multiplier  float32
}

// run multiplies with matrix i. space is scratch memory, in which the quantised rows stay for the next one.
func (p *product) run(i int, r rows, y, space device.Ptr) error {
	w, on, s := p.weights[i], p.on[i], p.lib.stream
	if r.n == 0 {
		return nil
	}
	if !p.int8(w) {
		m := &p.lib.kernels.natural
		switch {
		case w.Quantised():
			m = &p.lib.kernels.exact
		case w.ByOutput:
			m = &p.lib.kernels.byOutput
		}
		k, grid := m.pick(r.n, w.Out)
		s.Ptr(on.data).Ptr(on.scales).Ptr(r.x).Ptr(r.row).Ptr(r.dst).Ptr(y)
		return s.Int(r.n).Int(w.In).Int(w.Out).Int(max(w.Groups, 1)).Float(r.multiplier).Launch(k, grid)
	}
	values, _ := quantised(w, r.n)
	scales := space + device.Ptr(values)
	if !p.shared(i) {
		blocks := r.n * kernels.NumBlocks(w.In, w.Groups)
		s.Ptr(r.x).Ptr(r.row).Ptr(space).Ptr(scales).Int(r.n).Int(w.In).Int(w.Groups)
		if err := s.Launch(p.lib.kernels.quantise, strided(blocks*warp)); err != nil {
			return err
		}
	}
	k, grid := p.lib.kernels.int8.pick(r.n, w.Out)
	s.Ptr(on.data).Ptr(on.scales).Ptr(space).Ptr(scales).Ptr(r.dst).Ptr(y)
	return s.Int(r.n).Int(w.In).Int(w.Out).Int(w.Groups).Float(r.multiplier).Launch(k, grid)
}

const warp = 32

// shared tells that the rows are in scratch memory as matrix i wants them, since the matrix before.
func (p *product) shared(i int) bool {
	return i > 0 && p.int8(p.weights[i-1]) && p.weights[i-1].Groups == p.weights[i].Groups
}

// linear is Linear, Route and Head: a softmax follows in the second, the third has its own rows and a factor.
type linear struct {
	base
	product
}

func newLinear(k *kernel, c *kernels.Call, a kernels.Arith) step {
	if c.Op == kernels.Route {
		a = kernels.Exact
	}
	return &linear{base{k.lib, c}, newProduct(k, a, c.Weights)}
}

func (l *linear) rows(f *frame) rows {
	r := rows{x: f.slots[l.call.In[0]], n: f.in.Rows.N, multiplier: 1}
	if l.call.Op == kernels.Head {
		r.n, r.row, r.multiplier = len(f.in.Rows.Draw), f.meta.draw.data, l.call.Multiplier
	}
	return r
}

func (l *linear) scratch(f *frame) (int, error) {
	n := l.rows(f).n
	err := length(f, l.call, l.call.In[0], f.in.Rows.N*l.call.Weights[0].In)
	if l.call.Op == kernels.Head {
		err = errors.Join(err, within(l.call, "drawn row", f.in.Rows.Draw, f.in.Rows.N))
	}
	for i, w := range l.call.Weights {
		err = errors.Join(err, length(f, l.call, l.call.Out[i], n*w.Out))
	}
	return l.product.scratch(n), err
}

func (l *linear) run(f *frame) error {
	r := l.rows(f)
	for i := range l.weights {
		if err := l.product.run(i, r, f.slots[l.call.Out[i]], l.base.lib.scratch.data); err != nil {
			return err
		}
	}
	if l.call.Op != kernels.Route {
		return nil
	}
	y, experts := f.slots[l.call.Out[0]], l.weights[0].Out
	return l.base.lib.stream.Ptr(y).Ptr(y).Int(r.n).Int(experts).Launch(l.base.lib.kernels.softmax, strided(r.n))
}

// expert is both products of x, their activation, and the product back.
type expert struct {
	base
	gateUp, down product
	compact      [2]bool // input, output
}

func newExpert(k *kernel, c *kernels.Call, a kernels.Arith) step {
	e := &expert{base: base{k.lib, c}, gateUp: newProduct(k, a, c.Weights[:2]), down: newProduct(k, a, c.Weights[2:])}
	for _, u := range k.slots {
		if u.compact {
			e.compact[0] = e.compact[0] || u.slot == c.In[0]
			e.compact[1] = e.compact[1] || u.slot == c.Out[0]
		}
	}
	return e
}

// hidden is the size of x·gate, and of x·up.
func (e *expert) hidden(n int) int {
	return (4*n*e.call.Weights[0].Out + align - 1) / align * align
}

func (e *expert) scratch(f *frame) (int, error) {
	w, c := &f.in.Work, e.call
	n, in, out := len(w.Row), c.Weights[0].In, c.Weights[2].Out
	err := errors.Join(within(c, "row of the work", w.Row, len(f.in.Bufs[c.In[0]])/in), within(c, "destination", w.Dst, len(f.in.Bufs[c.Out[0]])/out))
	if len(w.Dst) != n {
		err = errors.Join(err, length(f, c, c.Out[0], n*out))
	}
	return 2*e.hidden(n) + max(e.gateUp.scratch(n), e.down.scratch(n)), err
}

func (e *expert) run(f *frame) error {
	n := len(f.in.Work.Row)
	if n == 0 {
		return nil
	}
	gate := e.lib.scratch.data
	up := gate + device.Ptr(e.hidden(n))
	space := up + device.Ptr(e.hidden(n))
	r := rows{x: f.slots[e.call.In[0]], row: f.meta.row.data, n: n, multiplier: 1}
	if e.compact[0] {
		r.row = 0
	}
	for i, y := range [2]device.Ptr{gate, up} {
		if err := e.gateUp.run(i, r, y, space); err != nil {
			return err
		}
	}
	width := e.call.Weights[0].Out
	if err := e.lib.stream.Ptr(gate).Ptr(up).Ptr(gate).Int(n*width).Launch(e.lib.kernels.geluUp, strided(n*width)); err != nil {
		return err
	}
	r = rows{x: gate, dst: f.meta.dst.data, n: n, multiplier: 1}
	if e.compact[1] {
		r.dst = 0
	}
	return e.down.run(0, r, f.slots[e.call.Out[0]], space)
}
