//go:build cudacpu && cgo

package kernels

import (
	"fmt"
	"unsafe"

	"troupe/kernels"
)

// library is kernels.Library on the CPU twin, as plain as can be: every Run copies what it needs to memory of its own,
// and back. Its fields vary what must not matter.
type library struct {
	few          int  // rows for which a matrix is read once: 1, 2, 4, 8; 0: many rows (tile)
	block, wide  Grid // threads of a block: of kernels that want some number, and of those that take any
	grid         int  // blocks of those that take any
	reverse      bool // threads run backwards
	rowsOfAttend int  // rows of one launch of attend
}

func (l *library) Info() kernels.Info {
	info := kernels.Info{Name: "twin", Doc: "CUDA kernels on the CPU", Version: "1", Promise: kernels.Identical}
	for op := range kernels.NumOps {
		info.Ops = append(info.Ops, op)
	}
	return info
}

func (l *library) Close() error { return nil }

func (l *library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	if s.Arith == kernels.Reference {
		return nil, fmt.Errorf("twin: %v: %w", s.Arith, kernels.ErrNoKernel)
	}
	return &kernel{l, s}, nil
}

type kernel struct {
	*library
	kernels.Segment
}

func (k *kernel) Run(f *kernels.Frame) (err error) {
	r := run{library: k.library, arith: k.Arith, f: f, slots: map[kernels.Slot]unsafe.Pointer{}}
	defer r.free()
	for i := range k.Calls {
		r.call(&k.Calls[i])
	}
	if r.err == nil {
		r.download(k.Calls)
	}
	return r.err
}

// run is the memory of one Run. The first error is kept, and everything after it left out.
type run struct {
	*library
	arith  kernels.Arith
	f      *kernels.Frame
	slots  map[kernels.Slot]unsafe.Pointer
	memory []unsafe.Pointer
	err    error
}

func (r *run) free() {
	for _, p := range r.memory {
		Free(p)
	}
}

func (r *run) malloc(bytes int) unsafe.Pointer {
	p := Malloc(bytes)
	r.memory = append(r.memory, p)
	return p
}

func view[T any](p unsafe.Pointer, n int) []T { return unsafe.Slice((*T)(p), n) }

func upload[T any](r *run, s []T) unsafe.Pointer {
	var t T
	p := r.malloc(len(s) * int(unsafe.Sizeof(t)))
	copy(view[T](p, len(s)), s)
	return p
}

// slot is where a slot lies; its contents come from the frame unless an earlier call has written it.
func (r *run) slot(s kernels.Slot) unsafe.Pointer {
	if r.slots[s] == nil {
		r.slots[s] = upload(r, r.f.Bufs[s])
	}
	return r.slots[s]
}

func (r *run) download(calls []kernels.Call) {
	for _, c := range calls {
		for _, s := range c.Out {
			copy(r.f.Bufs[s], view[float32](r.slots[s], len(r.f.Bufs[s])))
		}
	}
}

func (r *run) launch(name string, grid, block Grid, params ...any) {
	if r.err == nil {
		r.err = Launch(name, grid, block, r.reverse, params...)
	}
}

// any launches a kernel that takes any grid x.
func (r *run) any(name string, params ...any) {
	r.launch(name, Grid{r.grid, 1, 1}, r.wide, params...)
}

// plane launches a kernel that takes any grid x for its columns and y for its rows.
func (r *run) plane(name string, params ...any) {
	r.launch(name, Grid{r.grid, min(r.grid, 2), 1}, r.wide, params...)
}

func ceil(n, by int) int { return (n + by - 1) / by }

func (r *run) call(c *kernels.Call) {
	f, rows := r.f, &r.f.Rows
	n := rows.N
	in := func(i int) unsafe.Pointer { return r.slot(c.In[i]) }
	out := func(i int) unsafe.Pointer { return r.slot(c.Out[i]) }
	width := func(i int) int { return len(f.Bufs[c.Out[i]]) / n }
	switch c.Op {
	case kernels.Embed:
		r.plane("embed", upload(r, c.Weights[0].F), upload(r, rows.Token), out(0), n, c.Weights[0].In, float64(c.Multiplier))
	case kernels.RMSNorm:
		w := c.Weights[0]
		r.any("rmsnorm", in(0), upload(r, w.F), out(0), n, w.Out, float64(c.Eps))
	case kernels.Linear:
		r.products(c.Weights, in(0), nil, n, 1, out, nil)
	case kernels.RoPE:
		cos, sin, pos := upload(r, c.Rope.Cos), upload(r, c.Rope.Sin), upload(r, rows.Pos)
		r.plane("rope", in(0), cos, sin, pos, out(0), n, c.Heads, c.KeySize)
		r.plane("rope", in(1), cos, sin, pos, out(1), n, c.KVHeads, c.KeySize)
	case kernels.Attend:
		r.attend(c)
	case kernels.Route:
		r.products(c.Weights, in(0), nil, n, 1, out, nil)
		r.any("softmax", out(0), out(0), n, c.Weights[0].Out)
	case kernels.Expert:
		r.expert(c)
	case kernels.Combine:
		r.plane("combine", in(0), upload(r, f.Pairs.Start), upload(r, f.Pairs.Gate), out(0), n, width(0))
	case kernels.Add:
		r.any("add", in(0), in(1), out(0), len(f.Bufs[c.Out[0]]))
	case kernels.Head:
		if len(rows.Draw) > 0 {
			r.products(c.Weights, in(0), upload(r, rows.Draw), len(rows.Draw), c.Multiplier, out, nil)
		}
	}
}

func (r *run) expert(c *kernels.Call) {
	n, gate, down := len(r.f.Work.Row), c.Weights[0], c.Weights[2]
	g, u := r.malloc(4*n*gate.Out), r.malloc(4*n*gate.Out)
	r.products(c.Weights[:2], r.slot(c.In[0]), upload(r, r.f.Work.Row), n, 1, func(i int) unsafe.Pointer { return []unsafe.Pointer{g, u}[i] }, nil)
	r.any("gelu_up", g, u, u, n*gate.Out)
	dst := upload(r, r.f.Work.Dst)
	r.products([]*kernels.Weight{down}, u, nil, n, 1, func(int) unsafe.Pointer { return r.slot(c.Out[0]) }, dst)
}

// products multiplies rows of x (all with row nil) with matrices.
func (r *run) products(ws []*kernels.Weight, x, row unsafe.Pointer, n int, multiplier float32, y func(int) unsafe.Pointer, dst unsafe.Pointer) {
	for i, w := range ws {
		matrix, scales, groups := upload(r, w.F), unsafe.Pointer(nil), 1
		family, panel := "natural", 32
		switch {
		case w.Quantised():
			matrix, scales, groups = upload(r, panels(w)), upload(r, w.Scales), w.Groups
			family, panel = "exact", kernels.PanelOutputs
		case w.ByOutput:
			family, panel = "byoutput", 8
		}
		a, b := x, row
		if w.Quantised() && r.arith == kernels.Int8 {
			family = "int8"
			a, b = r.malloc(n*kernels.PanelLines(w.In, groups)*kernels.LineInputs), r.malloc(4*n*kernels.NumBlocks(w.In, groups))
			r.any("quantise", x, row, a, b, n, w.In, groups)
		}
		name, grid, block := fmt.Sprintf("%s_%d", family, r.few), Grid{ceil(w.Out, panel), ceil(n, max(r.few, 1)), 1}, r.block
		if r.few == 0 {
			name, grid, block = family+"_tile", Grid{ceil(w.Out, 64), ceil(n, 64), 1}, Grid{256, 1, 1}
		}
		r.launch(name, grid, block, matrix, scales, a, b, dst, y(i), n, w.In, w.Out, groups, float64(multiplier))
	}
}

// panels is the weight in panels.
func panels(w *kernels.Weight) []int8 {
	if w.Panels {
		return w.Q
	}
	p := make([]int8, kernels.PanelSize(w.In, w.Out, w.Groups))
	kernels.PackPanels(p, w.Q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
	return p
}
