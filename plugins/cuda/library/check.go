//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"fmt"
	"slices"

	"troupe/kernels"
)

// operands says how many each op takes; -1: as many as there are weights.
var operands = [kernels.NumOps]struct{ in, out, weights int }{
	kernels.Embed:   {0, 1, 1},
	kernels.RMSNorm: {1, 1, 1},
	kernels.Linear:  {1, -1, -1},
	kernels.RoPE:    {2, 2, 0},
	kernels.Attend:  {3, 1, 0},
	kernels.Route:   {1, 1, 1},
	kernels.Expert:  {1, 1, 3},
	kernels.Combine: {1, 1, 0},
	kernels.Add:     {2, 1, 0},
	kernels.Head:    {1, 1, 1},
}

// check says whether call i of a segment can be compiled.
func check(s *kernels.Segment, i int) error {
	c := &s.Calls[i]
	if c.Op >= kernels.NumOps {
		return fmt.Errorf("cuda: %v: %w", c.Op, kernels.ErrNoKernel)
	}
	want := operands[c.Op]
	if want.out < 0 {
		want.out, want.weights = len(c.Weights), len(c.Weights)
	}
	if len(c.In) != want.in || len(c.Out) != want.out || len(c.Weights) != want.weights {
		return fmt.Errorf("cuda: %v: %d inputs, %d outputs, %d weights, want %d, %d, %d", c.Op, len(c.In), len(c.Out), len(c.Weights), want.in, want.out, want.weights)
	}
	for _, w := range c.Weights {
		if err := w.Check(); err != nil {
			return err
		}
	}
	switch c.Op {
	case kernels.Embed, kernels.RMSNorm:
		if w := c.Weights[0]; w.Quantised() {
			return fmt.Errorf("cuda: %v: %s is int8: %w", c.Op, w.Name, kernels.ErrNoKernel)
		}
	case kernels.Linear, kernels.Route, kernels.Head:
		for _, w := range c.Weights {
			if w.In != c.Weights[0].In {
				return fmt.Errorf("cuda: %v: %s has %d inputs, %s %d", c.Op, w.Name, w.In, c.Weights[0].Name, c.Weights[0].In)
			}
		}
	case kernels.Expert:
		if g, u, d := c.Weights[0], c.Weights[1], c.Weights[2]; u.In != g.In || u.Out != g.Out || d.In != g.Out {
			return fmt.Errorf("cuda: expert: shapes [%d %d], [%d %d], [%d %d] do not fit", g.In, g.Out, u.In, u.Out, d.In, d.Out)
		}
	case kernels.RoPE, kernels.Attend:
		return checkHeads(s, i)
	}
	return nil
}

func checkHeads(s *kernels.Segment, i int) error {
	c := &s.Calls[i]
	if c.Heads <= 0 || c.KVHeads <= 0 || c.KeySize <= 0 || c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("cuda: %v: %d heads, %d key heads of %d", c.Op, c.Heads, c.KVHeads, c.KeySize)
	}
	if c.Op == kernels.RoPE {
		if c.Rope == nil || len(c.Rope.Cos) != len(c.Rope.Sin) || c.KeySize%2 != 0 || len(c.Rope.Cos) == 0 {
			return fmt.Errorf("cuda: rope: no table for keys of %d", c.KeySize)
		}
		return nil
	}
	// Keys and values go into the host's cache when all calls are done: they have to be there still.
	for _, later := range s.Calls[i+1:] {
		if slices.Contains(later.Out, c.In[1]) || slices.Contains(later.Out, c.In[2]) {
			return fmt.Errorf("cuda: attend: %v writes its keys or values later in the segment: %w", later.Op, kernels.ErrNoKernel)
		}
	}
	return nil
}

// length complains of a slot that has not n elements.
func length(f *frame, c *kernels.Call, slot kernels.Slot, n int) error {
	if len(f.in.Bufs[slot]) != n {
		return fmt.Errorf("cuda: %v of layer %d: slot %d has %d elements, want %d", c.Op, c.Layer, slot, len(f.in.Bufs[slot]), n)
	}
	return nil
}

// within complains of a value that is not below n.
func within(c *kernels.Call, what string, list []int32, n int) error {
	for i, v := range list {
		if v < 0 || int(v) >= n {
			return fmt.Errorf("cuda: %v of layer %d: %s %d is %d, want 0 to %d", c.Op, c.Layer, what, i, v, n-1)
		}
	}
	return nil
}
