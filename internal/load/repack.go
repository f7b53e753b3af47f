package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"troupe/kernels"
	"troupe/tensor"
)

// Repacked is what repacking took.
type Repacked struct {
	Bytes int64 // of memory, beside the checkpoint
	Took  time.Duration
}

// RepackBytes is the memory that Repack takes: 0 where every int8 matrix is in panels already.
func (m *Model) RepackBytes() (sum int64) {
	for _, u := range m.unpackedMatrices() {
		sum += u.bytes()
	}
	return sum
}

// Repack copies the int8 matrices into panels, in memory of its own, and points the weights at them. It has to
// be called before the weights are used. A matrix's pages of the checkpoint are given back when it is done, so
// that little more than one copy is in memory at any time. The error is ErrMemory, before anything is done, when
// the system has not got the memory.
func (m *Model) Repack(ctx context.Context, opt WorkOptions) (r Repacked, err error) {
	start := time.Now()
	r.Bytes = m.RepackBytes()
	if r.Bytes == 0 || m.arena != nil {
		return Repacked{}, nil
	}
	if err := opt.room(r.Bytes); err != nil {
		return r, fmt.Errorf("repack: %w: free memory, convert the model once (troupe convert --to packed), or leave it as it is (--repack off), which is slower", err)
	}
	units := m.unpackedMatrices()
	arena, err := tensor.NewHugeArena("weights", int(r.Bytes))
	if err != nil {
		return r, err
	}
	for i := range units {
		if units[i].dst, err = tensor.Slice[int8](arena, int(units[i].bytes())); err != nil {
			return r, errors.Join(err, arena.Close())
		}
	}
	if err := m.packAll(ctx, units, opt, r.Bytes); err != nil {
		return r, errors.Join(err, arena.Close())
	}
	m.arena = arena
	for _, u := range units {
		k := *u.weight
		k.Q, k.Panels = u.dst, true
		for e, w := range m.Weights[k.Name] { // a matrix may be several experts'
			if w == u.weight {
				m.Weights[k.Name][e] = &k
			}
		}
	}
	r.Took = time.Since(start)
	return r, nil
}

// unit is one matrix to pack.
type unit struct {
	tensor int
	weight *kernels.Weight
	raw    []byte // its part of the checkpoint
	dst    []int8
}

// bytes is the matrix in panels.
func (u unit) bytes() int64 {
	return int64(kernels.PanelSize(u.weight.In, u.weight.Out, u.weight.Groups))
}

// unpackedMatrices lists the int8 matrices that are not in panels, each once.
func (m *Model) unpackedMatrices() (units []unit) {
	for i := range m.Checkpoint.Tensors {
		t := &m.Checkpoint.Tensors[i]
		if t.Groups == 0 {
			continue
		}
		parts, seen := m.parts(i), map[*kernels.Weight]bool{}
		for e, w := range m.Weights[t.Name] {
			if w != nil && !w.Panels && !seen[w] {
				seen[w] = true
				units = append(units, unit{tensor: i, weight: w, raw: parts[e].data})
			}
		}
	}
	return units
}

// packAll packs all matrices; the error is the first in their order.
func (m *Model) packAll(ctx context.Context, units []unit, opt WorkOptions, total int64) error {
	return opt.each(ctx, "repack", len(units), total, func(i int) (int64, error) {
		u := units[i]
		return u.bytes(), m.Checkpoint.Through(u.tensor, u.raw, func() error {
			w := u.weight
			kernels.PackPanels(u.dst, w.Q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
			return nil
		})
	})
}

// PrefersPanels tells whether a library that a binding chooses for matrices is fastest on panels.
func PrefersPanels(b kernels.Binding, layers int) bool {
	for _, op := range []kernels.Op{kernels.Linear, kernels.Expert} {
		for l := range layers {
			if v, err := kernels.Find(b.Library(op, l)); err == nil && v.Panels {
				return true
			}
		}
	}
	return false
}
