package cpu

import (
	"fmt"

	"troupe/kernels"
)

// library is a variant opened with its threads. Its kernels share its pool and scratch memory, which is
// why they run one at a time.
type library struct {
	info    kernels.Info
	loops   *loops
	threads kernels.Threads
	pool    *pool
	scratch []scratch // by worker
}

var _ kernels.Library = (*library)(nil)

// open makes a library of a variant's inner loops; threads below 1 counts as 1.
func open(name, doc string, l *loops, t kernels.Threads) *library {
	lib := &library{loops: l, threads: t, pool: newPool(max(t.Decode, t.Prefill))}
	lib.info = kernels.Info{Name: name, Doc: doc, Version: "1", Promise: kernels.Identical}
	for op := range kernels.NumOps {
		lib.info.Ops = append(lib.info.Ops, op)
	}
	lib.scratch = make([]scratch, lib.pool.threads)
	return lib
}

// Info describes the variant.
func (l *library) Info() kernels.Info { return l.info }

// Close ends the threads.
func (l *library) Close() error {
	l.pool.close()
	return nil
}

// step is one call, compiled. It keeps scratch memory and what it needs to know of the frame at hand.
type step interface{ run(f *kernels.Frame) }

// steps has the constructor of every op.
var steps = [kernels.NumOps]func(*library, kernels.Arith, *kernels.Call) step{
	kernels.Embed:   newEmbed,
	kernels.RMSNorm: newNorm,
	kernels.Linear:  newLinear,
	kernels.RoPE:    newRope,
	kernels.Attend:  newAttend,
	kernels.Route:   newRoute,
	kernels.Expert:  newExpert,
	kernels.Combine: newCombine,
	kernels.Add:     newAdd,
	kernels.Head:    newHead,
}

// Compile checks the segment's weights and prepares its calls. Nothing is copied.
func (l *library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k := &kernel{lib: l}
	for i := range s.Calls {
		c := &s.Calls[i]
		if c.Op >= kernels.NumOps {
			return nil, fmt.Errorf("kernels/cpu: %v: %w", c.Op, kernels.ErrNoKernel)
		}
		for _, w := range c.Weights {
			if err := w.Check(); err != nil {
				return nil, err
			}
		}
		k.steps = append(k.steps, steps[c.Op](l, s.Arith, c))
	}
	return k, nil
}

type kernel struct {
	lib   *library
	steps []step
}

// Run takes the frame through the calls.
func (k *kernel) Run(f *kernels.Frame) error {
	threads := k.lib.threads.Prefill
	if f.Rows.N <= kernels.DecodeRows {
		threads = k.lib.threads.Decode
	}
	k.lib.pool.use(threads)
	for _, s := range k.steps {
		s.run(f)
	}
	return nil
}
