package bench

import (
	"fmt"
	"math/rand/v2"
	"unsafe"

	"troupe/kernels"
	"troupe/stages"
	"troupe/tensor"
)

// mostCopies bounds the number of copies of small operands.
const mostCopies = 1 << 14

// opWork is one op with its operands: random activations, and copies of weights or of a cache.
type opWork struct {
	arena *tensor.Arena
	rng   *rand.Rand
	calls []kernels.Call // one for each copy
	frame kernels.Frame
	bytes int64 // of the operands of a call
	macs  int64 // of a call
	int8  bool  // weights are
}

// opShape is what the builder of an op says of it: a call without weights, and the weights it takes.
type opShape struct {
	in, out []int // widths of buffers, per row
	weights []kernels.Weight
	params  kernels.Params
	macs    int64 // of a row, besides those of the weights
	cached  bool  // reads keys and values
}

// shapeOf spells an op out.
func (o *OpOptions) shapeOf() (s opShape) {
	h := o.Shape
	matrix := func(in, out int) kernels.Weight {
		w := kernels.Weight{Name: "w", In: in, Out: out, Groups: h.Groups, Panels: !h.Raw}
		if h.Float {
			w.Groups, w.Panels = 0, false
		}
		return w
	}
	switch o.Op {
	case kernels.Embed:
		s.out, s.weights = []int{h.In}, []kernels.Weight{{Name: "embedding", In: h.In, Out: h.Out, ByOutput: true}}
	case kernels.RMSNorm:
		s.in, s.out, s.weights = []int{h.In}, []int{h.In}, []kernels.Weight{{Name: "scale", In: 1, Out: h.In}}
	case kernels.Linear:
		s.in, s.out, s.weights = []int{h.In}, []int{h.Out}, []kernels.Weight{matrix(h.In, h.Out)}
	case kernels.RoPE:
		q, k := h.Heads*h.KeySize, h.KVHeads*h.KeySize
		s.in, s.out = []int{q, k}, []int{q, k}
		s.params.Rope = kernels.NewRope(10000, h.KeySize, h.Context)
	case kernels.Attend:
		q, k := h.Heads*h.KeySize, h.KVHeads*h.KeySize
		s.in, s.out, s.cached = []int{q, k, k}, []int{q}, true
		s.macs = 2 * int64(q) * int64(h.Context)
	case kernels.Route:
		s.in, s.out, s.weights = []int{h.In}, []int{h.Experts}, []kernels.Weight{{Name: "router", In: h.In, Out: h.Experts}}
	case kernels.Expert:
		s.in, s.out = []int{h.In}, []int{h.In}
		down := matrix(h.Out, h.In)
		s.weights = []kernels.Weight{matrix(h.In, h.Out), matrix(h.In, h.Out), down}
		if !h.Float { // as in Grok-1's checkpoints: groups in the last matrix alone
			s.weights[0].Groups, s.weights[1].Groups = 1, 1
		}
	case kernels.Combine:
		s.in, s.out = []int{h.Experts * h.In}, []int{h.In}
	case kernels.Add:
		s.in, s.out = []int{h.In, h.In}, []int{h.In}
	case kernels.Head:
		head := kernels.Weight{Name: "embedding", In: h.In, Out: h.Out, ByOutput: true}
		if groups := kernels.HeadGroups(h.In); o.Arith == kernels.Int8 && groups > 0 && !h.Float { // as the last stage makes it
			head = kernels.Weight{Name: "head", In: h.In, Out: h.Out, Groups: groups, Panels: true}
		}
		s.in, s.out, s.weights = []int{h.In}, []int{h.Out}, []kernels.Weight{head}
	}
	s.params.Multiplier, s.params.Cap, s.params.Eps = 1, 30, 1e-5
	s.params.Heads, s.params.KVHeads, s.params.KeySize = h.Heads, h.KVHeads, h.KeySize
	return s
}

// newOpWork makes the operands for so many rows.
func newOpWork(o *OpOptions, rows int) (w *opWork, err error) {
	s := o.shapeOf()
	for i := range s.weights {
		if t := &s.weights[i]; t.Groups > 0 && t.In%t.Groups != 0 {
			return nil, fmt.Errorf("bench: %v: %d scale groups over %d inputs: want a divisor", o.Op, t.Groups, t.In)
		}
	}
	if (o.Op == kernels.RoPE || o.Op == kernels.Attend) && rows > o.Shape.Context {
		return nil, fmt.Errorf("bench: %v: %d rows in a context of %d: want at most as many", o.Op, rows, o.Shape.Context)
	}
	w = &opWork{rng: rand.New(rand.NewPCG(1, 2)), int8: len(s.weights) > 0}
	read := int64(0) // bytes of one copy
	for i := range s.weights {
		t := &s.weights[i]
		read += sizeOf(t)
		w.int8 = w.int8 && t.Groups > 0
		if o.Op != kernels.Embed && t.In > 1 {
			w.macs += int64(t.In) * int64(t.Out) * int64(rows)
		}
	}
	blocks := (o.Shape.Context + kernels.BlockTokens - 1) / kernels.BlockTokens
	cache := kernels.Cache{KVHeads: o.Shape.KVHeads, KeySize: o.Shape.KeySize, Blocks: blocks, Half: stages.HalfCache(o.Arith)}
	if s.cached {
		read += int64(cache.BlockSize()) * int64(blocks) * 2 * int64(elemSize(cache.Half))
	}
	copies := 1
	if o.Cold {
		copies = copiesOf(read, o.ColdBytes)
	}
	total := (read + 64*8) * int64(copies)
	for _, width := range append(append([]int{}, s.in...), s.out...) {
		total += 4*int64(width)*int64(rows) + 64
		w.bytes += 4 * int64(width) * int64(rows)
	}
	if w.arena, err = tensor.NewArena("operands", int(total)); err != nil {
		return nil, err
	}
	w.bytes += read
	if o.Op == kernels.Embed { // of the embedding, a row of it each
		w.bytes += 4*int64(o.Shape.In)*int64(rows) - read
	}
	w.macs += s.macs * int64(rows)
	w.buffers(o, s, rows)
	for i := range copies {
		w.addCopy(o, s, &cache, i)
	}
	return w, nil
}

// copiesOf is how many copies of operands it takes to be together larger than all.
func copiesOf(operands int64, all int) int {
	if operands == 0 {
		return 1
	}
	return int(min(int64(all)/operands+2, mostCopies))
}

func elemSize(half bool) int {
	if half {
		return 2
	}
	return 4
}

// sizeOf is what a weight without its numbers will take.
func sizeOf(t *kernels.Weight) int64 {
	switch {
	case t.Groups == 0:
		return 4 * int64(t.In) * int64(t.Out)
	case t.Panels:
		return int64(kernels.PanelSize(t.In, t.Out, t.Groups)) + 4*int64(t.Groups)*int64(t.Out)
	}
	return int64(t.In)*int64(t.Out) + 4*int64(t.Groups)*int64(t.Out)
}

// buffers makes the frame: rows of one sequence, the last ones of the context.
func (w *opWork) buffers(o *OpOptions, s opShape, rows int) {
	f := &w.frame
	for i, width := range append(append([]int{}, s.in...), s.out...) {
		buf := cut[float32](w.arena, width*rows)
		if i < len(s.in) {
			w.normal(buf)
		}
		f.Bufs = append(f.Bufs, buf)
	}
	r := &f.Rows
	r.N = rows
	for i := range rows {
		r.Token, r.Seq = append(r.Token, int32(w.rng.IntN(max(o.Shape.Out, 1)))), append(r.Seq, 0)
		r.Pos = append(r.Pos, int32(max(o.Shape.Context-rows+i, 0)))
		r.First, r.Keyless, r.Prompt = append(r.First, 0), append(r.Keyless, 0), append(r.Prompt, false)
		r.Draw = append(r.Draw, int32(i))
		f.Work.Row, f.Work.Dst = append(f.Work.Row, int32(i)), append(f.Work.Dst, int32(i))
		f.Pairs.Start = append(f.Pairs.Start, int32(i*o.Shape.Experts))
		for range o.Shape.Experts {
			f.Pairs.Gate = append(f.Pairs.Gate, 1/float32(o.Shape.Experts))
		}
	}
	f.Pairs.Start = append(f.Pairs.Start, int32(rows*o.Shape.Experts))
	var table []int32
	for i := range (o.Shape.Context + kernels.BlockTokens - 1) / kernels.BlockTokens {
		table = append(table, int32(i))
	}
	r.Tables, r.Skip = [][]int32{table}, [][]int32{nil}
}

// addCopy makes the call of copy i: the first has random numbers, the others have the same elsewhere.
func (w *opWork) addCopy(o *OpOptions, s opShape, cache *kernels.Cache, i int) {
	c := kernels.Call{Op: o.Op, Layer: i, Params: s.params}
	for slot := range s.in {
		c.In = append(c.In, kernels.Slot(slot))
	}
	for slot := range s.out {
		c.Out = append(c.Out, kernels.Slot(len(s.in)+slot))
	}
	for k, t := range s.weights {
		var first *kernels.Weight
		if i > 0 {
			first = w.calls[0].Weights[k]
		}
		w.fill(&t, first)
		c.Weights = append(c.Weights, &t)
	}
	if s.cached {
		w.addLayer(cache)
	}
	w.calls = append(w.calls, c)
}

// addLayer gives the cache another layer, with the numbers of the first.
func (w *opWork) addLayer(cache *kernels.Cache) {
	n := cache.Blocks * cache.BlockSize()
	var l kernels.CacheLayer
	if cache.Half {
		l.K16, l.V16 = cut[uint16](w.arena, n), cut[uint16](w.arena, n)
	} else {
		l.K32, l.V32 = cut[float32](w.arena, n), cut[float32](w.arena, n)
	}
	switch {
	case len(cache.Layers) > 0:
		same := cache.Layers[0]
		copy(l.K16, same.K16)
		copy(l.V16, same.V16)
		copy(l.K32, same.K32)
		copy(l.V32, same.V32)
	case cache.Half:
		for i := range l.K16 {
			l.K16[i], l.V16[i] = tensor.ToBF16(float32(i%7)/8), tensor.ToBF16(float32(i%5)/8)
		}
	default:
		w.normal(l.K32)
		w.normal(l.V32)
	}
	cache.Layers = append(cache.Layers, l)
	w.frame.Cache = cache
}

// fill gives a weight its numbers, those of another one if there is one.
func (w *opWork) fill(t, same *kernels.Weight) {
	if t.Groups == 0 {
		t.F = cut[float32](w.arena, t.In*t.Out)
		if same != nil {
			copy(t.F, same.F)
			return
		}
		w.normal(t.F)
		return
	}
	t.Scales = cut[float32](w.arena, t.Groups*t.Out)
	size := t.In * t.Out
	if t.Panels {
		size = kernels.PanelSize(t.In, t.Out, t.Groups)
	}
	t.Q = cut[int8](w.arena, size)
	if same != nil {
		copy(t.Q, same.Q)
		copy(t.Scales, same.Scales)
		return
	}
	w.normal(t.Scales)
	q := t.Q
	if t.Panels {
		q = make([]int8, t.In*t.Out)
	}
	for i := range q {
		q[i] = int8(w.rng.Uint32())
	}
	if t.Panels {
		kernels.PackPanels(t.Q, q, t.In, t.Out, t.Groups, 0, kernels.NumPanels(t.Out))
	}
}

// normal fills with numbers around 0; from a short list, since they are many.
func (w *opWork) normal(v []float32) {
	var some [1021]float32
	for i := range some {
		some[i] = float32(w.rng.NormFloat64())
	}
	for n := 0; n < len(v); {
		n += copy(v[n:], some[:])
	}
}

// cut takes memory that newOpWork has counted.
func cut[T float32 | uint16 | int8 | int32](a *tensor.Arena, n int) []T {
	s, err := tensor.Slice[T](a, n)
	if err != nil {
		var t T
		panic(fmt.Sprintf("BUG: bench: %d operands of %d bytes: %v", n, unsafe.Sizeof(t), err))
	}
	return s
}
