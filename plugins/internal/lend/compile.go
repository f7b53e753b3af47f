package lend

import (
	"fmt"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/shm"
	"troupe/tensor"
)

// parts finds parts of regions, in bytes.
type parts func(region, offset, length uint64) ([]byte, error)

// segment makes of a request what a library compiles.
func segment(r *pb.CompileRequest, find parts) (kernels.Segment, error) {
	s := kernels.Segment{Arith: kernels.Arith(r.Arith)}
	if r.Arith > uint32(kernels.Reference) {
		return s, fmt.Errorf("plugins: arithmetic %d is unknown: build plugin and engine from the same release", r.Arith)
	}
	weights := make([]*kernels.Weight, len(r.Weights))
	touched := func(region, offset, length uint64) ([]byte, error) {
		b, err := find(region, offset, length)
		shm.Touch(b)
		return b, err
	}
	for i, w := range r.Weights {
		var err error
		if weights[i], err = weight(w, touched); err != nil {
			return s, err
		}
	}
	ropes := map[[4]uint64]*kernels.Rope{}
	for _, c := range r.Calls {
		call := kernels.Call{Op: kernels.Op(c.Op), Layer: int(c.Layer), In: slots(c.In), Out: slots(c.Out), Params: kernels.Params{
			Multiplier: c.Multiplier, Cap: c.Cap, Eps: c.Eps, Heads: int(c.Heads), KVHeads: int(c.KvHeads), KeySize: int(c.KeySize),
		}}
		if c.Op >= uint32(kernels.NumOps) {
			return s, fmt.Errorf("plugins: op %d: %w", c.Op, kernels.ErrNoKernel)
		}
		for _, i := range c.Weights {
			if int(i) >= len(weights) {
				return s, fmt.Errorf("plugins: weight %d of %d", i, len(weights))
			}
			call.Weights = append(call.Weights, weights[i])
		}
		if c.Rope != nil {
			key := [4]uint64{c.Rope.GetCos().GetRegion(), c.Rope.GetCos().GetOffset(), c.Rope.GetSin().GetRegion(), c.Rope.GetSin().GetOffset()}
			if ropes[key] == nil {
				cos, err := floats(c.Rope.Cos, find)
				if err != nil {
					return s, err
				}
				sin, err := floats(c.Rope.Sin, find)
				if err != nil {
					return s, err
				}
				ropes[key] = &kernels.Rope{Cos: cos, Sin: sin}
			}
			call.Rope = ropes[key]
		}
		s.Calls = append(s.Calls, call)
	}
	return s, nil
}

func slots(b []byte) []kernels.Slot {
	var s []kernels.Slot
	for _, x := range b {
		s = append(s, kernels.Slot(x))
	}
	return s
}

func weight(w *pb.Weight, find parts) (*kernels.Weight, error) {
	k := &kernels.Weight{Name: w.Name, In: int(w.In), Out: int(w.Out), Groups: int(w.Groups), Panels: w.Panels, ByOutput: w.ByOutput}
	if w.Q != nil {
		b, err := find(w.Q.Region, w.Q.Offset, w.Q.Length)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		k.Q = tensor.Int8s(b)
	}
	var err error
	if k.Scales, err = floats(w.Scales, find); err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	if k.F, err = floats(w.F, find); err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return k, k.Check()
}

func floats(m *pb.Memory, find parts) ([]float32, error) {
	if m == nil {
		return nil, nil
	}
	b, err := find(m.Region, m.Offset, m.Length)
	if err != nil {
		return nil, err
	}
	f, _ := tensor.Float32s(b)
	return f, nil
}
