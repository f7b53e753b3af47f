// Package ref defines every op of the table in plain Go that reads like the formula.
//
// It is the truth that every other library is measured against (N1): slow, single-threaded, without
// blocking or unrolling. The order of every sum is the canonical one of kernels/order.go; products are
// rounded to float32 before they are added, written float32(a*b) so that no compiler fuses them.
package ref

import "troupe/kernels"

var _ = kernels.Register(kernels.Variant{
	Name:  "ref",
	Doc:   "definition of every op, plain Go, slow",
	Score: func() int { return 1 },
	Open:  func(kernels.Threads) (kernels.Library, error) { return library{}, nil },
})

type library struct{}

func (library) Info() kernels.Info {
	info := kernels.Info{Name: "ref", Doc: "definition of every op", Version: "1", Promise: kernels.Identical}
	for op := range kernels.NumOps {
		info.Ops = append(info.Ops, op)
	}
	return info
}

func (library) Close() error { return nil }

// ops has the definition of each op: it reads and writes the frame under an arithmetic.
var ops = [kernels.NumOps]func(*kernels.Call, *kernels.Frame, kernels.Arith){
	kernels.Embed:   embed,
	kernels.RMSNorm: rmsNorm,
	kernels.Linear:  linear,
	kernels.RoPE:    rope,
	kernels.Attend:  attend,
	kernels.Route:   route,
	kernels.Expert:  expert,
	kernels.Combine: combine,
	kernels.Add:     add,
	kernels.Head:    head,
}

func (library) Compile(s kernels.Segment) (kernels.Kernel, error) { return kernel(s), nil }

type kernel kernels.Segment

func (k kernel) Run(f *kernels.Frame) error {
	for i := range k.Calls {
		c := &k.Calls[i]
		ops[c.Op](c, f, k.Arith)
	}
	return nil
}
