//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"
	"fmt"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// steps has the constructor of every op.
var steps = [kernels.NumOps]func(*kernel, *kernels.Call, kernels.Arith) step{
	kernels.Embed:   newEmbed,
	kernels.RMSNorm: newNorm,
	kernels.Linear:  newLinear,
	kernels.RoPE:    newRope,
	kernels.Attend:  newAttend,
	kernels.Route:   newLinear,
	kernels.Expert:  newExpert,
	kernels.Combine: newCombine,
	kernels.Add:     newAdd,
	kernels.Head:    newLinear,
}

// base is what every step has.
type base struct {
	lib  *Library
	call *kernels.Call
}

type embed struct {
	base
	table *weight
}

func newEmbed(k *kernel, c *kernels.Call, _ kernels.Arith) step {
	return &embed{base{k.lib, c}, k.current[c.Weights[0]]}
}

func (e *embed) scratch(f *frame) (int, error) {
	w, r := e.call.Weights[0], &f.in.Rows
	return 0, errors.Join(within(e.call, "token", r.Token[:r.N], w.Out), length(f, e.call, e.call.Out[0], r.N*w.In))
}

func (e *embed) run(f *frame) error {
	n, width := f.in.Rows.N, e.call.Weights[0].In
	s := e.lib.stream.Ptr(e.table.data).Ptr(f.meta.token.data).Ptr(f.slots[e.call.Out[0]]).Int(n).Int(width).Float(e.call.Multiplier)
	return s.Launch(e.lib.kernels.embed, strided(n*width))
}

type norm struct {
	base
	scale *weight
}

func newNorm(k *kernel, c *kernels.Call, _ kernels.Arith) step {
	return &norm{base{k.lib, c}, k.current[c.Weights[0]]}
}

func (m *norm) scratch(f *frame) (int, error) {
	n := f.in.Rows.N * len(m.call.Weights[0].F)
	return 0, errors.Join(length(f, m.call, m.call.In[0], n), length(f, m.call, m.call.Out[0], n))
}

func (m *norm) run(f *frame) error {
	n := f.in.Rows.N
	s := m.lib.stream.Ptr(f.slots[m.call.In[0]]).Ptr(m.scale.data).Ptr(f.slots[m.call.Out[0]])
	return s.Int(n).Int(len(m.call.Weights[0].F)).Float(m.call.Eps).Launch(m.lib.kernels.rmsnorm, device.Grid{X: n, Y: 1, Z: 1, Block: threads})
}

type rope struct {
	base
	table     *weight
	positions int
}

func newRope(k *kernel, c *kernels.Call, _ kernels.Arith) step {
	return &rope{base{k.lib, c}, k.rope[c.Rope], len(c.Rope.Cos) / (c.KeySize / 2)}
}

func (o *rope) scratch(f *frame) (int, error) {
	c, r := o.call, &f.in.Rows
	err := within(c, "position", r.Pos[:r.N], o.positions)
	for i, heads := range []int{c.Heads, c.KVHeads} {
		n := r.N * heads * c.KeySize
		err = errors.Join(err, length(f, c, c.In[i], n), length(f, c, c.Out[i], n))
	}
	return 0, err
}

func (o *rope) run(f *frame) error {
	c, n := o.call, f.in.Rows.N
	for i, heads := range [2]int{c.Heads, c.KVHeads} {
		s := o.lib.stream.Ptr(f.slots[c.In[i]]).Ptr(o.table.data).Ptr(o.table.scales).Ptr(f.meta.pos.data).Ptr(f.slots[c.Out[i]])
		if err := s.Int(n).Int(heads).Int(c.KeySize).Launch(o.lib.kernels.rope, strided(n*heads*c.KeySize/2)); err != nil {
			return err
		}
	}
	return nil
}

type combine struct{ base }

func newCombine(k *kernel, c *kernels.Call, _ kernels.Arith) step { return &combine{base{k.lib, c}} }

func (m *combine) scratch(f *frame) (int, error) {
	p, n, y := &f.in.Pairs, f.in.Rows.N, len(f.in.Bufs[m.call.Out[0]])
	if n == 0 {
		return 0, nil
	}
	if y%n != 0 || len(p.Start) != n+1 || p.Start[0] != 0 {
		return 0, fmt.Errorf("cuda: combine: %d outputs and %d starts of pairs for %d rows", y, len(p.Start), n)
	}
	for i := range n {
		if p.Start[i] > p.Start[i+1] {
			return 0, fmt.Errorf("cuda: combine: row %d owns pairs %d to %d", i, p.Start[i], p.Start[i+1])
		}
	}
	if pairs := int(p.Start[n]); pairs > len(p.Gate) || pairs*(y/n) > len(f.in.Bufs[m.call.In[0]]) {
		return 0, fmt.Errorf("cuda: combine: %d pairs, but %d gates and %d elements of %d", pairs, len(p.Gate), len(f.in.Bufs[m.call.In[0]]), y/n)
	}
	return 0, nil
}

func (m *combine) run(f *frame) error {
	n, y := f.in.Rows.N, len(f.in.Bufs[m.call.Out[0]])
	if n == 0 {
		return nil
	}
	s := m.lib.stream.Ptr(f.slots[m.call.In[0]]).Ptr(f.meta.start.data).Ptr(f.meta.gate.data).Ptr(f.slots[m.call.Out[0]])
	return s.Int(n).Int(y/n).Launch(m.lib.kernels.combine, strided(y))
}

type add struct{ base }

func newAdd(k *kernel, c *kernels.Call, _ kernels.Arith) step { return &add{base{k.lib, c}} }

func (a *add) scratch(f *frame) (int, error) {
	n := len(f.in.Bufs[a.call.Out[0]])
	return 0, errors.Join(length(f, a.call, a.call.In[0], n), length(f, a.call, a.call.In[1], n))
}

func (a *add) run(f *frame) error {
	n := len(f.in.Bufs[a.call.Out[0]])
	s := a.lib.stream.Ptr(f.slots[a.call.In[0]]).Ptr(f.slots[a.call.In[1]]).Ptr(f.slots[a.call.Out[0]])
	return s.Int(n).Launch(a.lib.kernels.add, strided(n))
}
