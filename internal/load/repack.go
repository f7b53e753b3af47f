package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/tensor"
)

// ErrMemory says that the machine has not the memory for repacked matrices.
var ErrMemory = errors.New("too little memory")

// Repacked is what repacking took.
type Repacked struct {
	Bytes int64 // of memory, beside the checkpoint
	Took  time.Duration
}

// RepackOptions bound the work.
type RepackOptions struct {
	Workers  int                     // matrices packed at a time, 1 or more
	Progress func(done, total int64) // bytes; may be nil
	Memory   func() (int64, error)   // bytes that may be taken; nil: ckpt.MemoryAvailable
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
func (m *Model) Repack(ctx context.Context, opt RepackOptions) (r Repacked, err error) {
	start := time.Now()
	r.Bytes = m.RepackBytes()
	if r.Bytes == 0 || m.arena != nil {
		return Repacked{}, nil
	}
	if opt.Memory == nil {
		opt.Memory = ckpt.MemoryAvailable
	}
	if have, err := opt.Memory(); err == nil && have < r.Bytes {
		return r, fmt.Errorf("repack: %w: needs %d bytes, the system has %d left: free memory, convert the model once (troupe convert --to packed), or leave it as it is (--repack off), which is slower", ErrMemory, r.Bytes, have)
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
		m.Weights[k.Name][u.expert] = &k
	}
	r.Took = time.Since(start)
	return r, nil
}

// unit is one matrix to pack.
type unit struct {
	tensor, expert int
	weight         *kernels.Weight
	raw            []byte // its part of the checkpoint
	dst            []int8
}

// bytes is the matrix in panels.
func (u unit) bytes() int64 {
	return int64(kernels.PanelSize(u.weight.In, u.weight.Out, u.weight.Groups))
}

// unpackedMatrices lists the int8 matrices that are not in panels.
func (m *Model) unpackedMatrices() (units []unit) {
	for i := range m.Checkpoint.Tensors {
		t := &m.Checkpoint.Tensors[i]
		for e, w := range m.Weights[t.Name] {
			if w.Quantised() && !w.Panels {
				n := w.In * w.Out
				units = append(units, unit{tensor: i, expert: e, weight: w, raw: t.Data[e*n : (e+1)*n]})
			}
		}
	}
	return units
}

// packAll packs all matrices, each in one goroutine; the error is the first in their order.
func (m *Model) packAll(ctx context.Context, units []unit, opt RepackOptions, total int64) error {
	bad := make([]error, len(units))
	var next, failed atomic.Int64
	var mu sync.Mutex
	var done int64
	var wg sync.WaitGroup
	for range min(max(opt.Workers, 1), len(units)) {
		wg.Go(func() {
			for ctx.Err() == nil && failed.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= len(units) {
					return
				}
				u := units[i]
				bad[i] = m.Checkpoint.Through(u.tensor, u.raw, func() error {
					w := u.weight
					kernels.PackPanels(u.dst, w.Q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
					return nil
				})
				if bad[i] != nil {
					failed.Add(1)
				}
				if opt.Progress != nil {
					mu.Lock()
					done += u.bytes()
					opt.Progress(done, total)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("repack: stopped: %w", context.Cause(ctx))
	}
	if i := slices.IndexFunc(bad, func(err error) bool { return err != nil }); i >= 0 {
		return bad[i]
	}
	return nil
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
