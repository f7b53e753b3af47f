package main

import (
	"fmt"

	"troupe/kernels"
)

// library is the variant, opened for one device. What its kernels share belongs here: threads, scratch memory.
type library struct{ threads kernels.Threads }

// Info is what the library promises. Identical means the bits of kernels/ref, for any number of rows and threads:
// the engine compares them as such before it promotes a library, and now and then afterwards. Close allows the bounds of
// kernels.Bound instead.
func (l *library) Info() kernels.Info {
	return kernels.Info{
		Name: variant.Name, Doc: variant.Doc, Version: "1",
		Ops: []kernels.Op{kernels.RMSNorm}, Promise: kernels.Identical,
	}
}

// Compile prepares a run of calls. Here is the place to look at shapes, to refuse, and to take memory: Run is called for
// every batch and should take none. Weights stay where they are as long as the kernel lives; they are never written.
//
// An op, arithmetic or shape that is not offered is no failure: the error wraps kernels.ErrNoKernel, and another
// library takes the call.
func (l *library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	for i := range s.Calls {
		c := &s.Calls[i]
		if c.Op != kernels.RMSNorm {
			return nil, fmt.Errorf("template: %v: only rmsnorm: %w", c.Op, kernels.ErrNoKernel)
		}
		if len(c.Weights) != 1 || len(c.In) != 1 || len(c.Out) != 1 {
			return nil, fmt.Errorf("template: rmsnorm: %d inputs, %d outputs, %d weights: want one each", len(c.In), len(c.Out), len(c.Weights))
		}
		if err := c.Weights[0].Check(); err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		if c.Weights[0].Quantised() {
			return nil, fmt.Errorf("template: rmsnorm: only float32 scales: %w", kernels.ErrNoKernel)
		}
	}
	return &kernel{s}, nil
}

// Close ends what Open began. No kernel runs any more.
func (l *library) Close() error { return nil }

// kernel is a compiled segment.
type kernel struct{ kernels.Segment }

// Run computes the calls in their order for the rows of one batch. Bufs are by slot; only a call's outputs may be
// written, and none of it may be kept. An error means that the outputs are of no use; the engine then has another library
// run the same calls. A panic or a crash ends this process and is answered in the same way.
func (k *kernel) Run(f *kernels.Frame) error {
	for i := range k.Calls {
		c := &k.Calls[i]
		rmsNorm(f.Bufs[c.Out[0]], f.Bufs[c.In[0]], c.Weights[0].F, c.Eps, f.Rows.N, k.Arith)
	}
	return nil
}
