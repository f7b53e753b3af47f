package plugins

import (
	"math"
	"slices"
	"time"

	"troupe/kernels"
)

// width is the number of elements of a row of parts in a slot.
func (k *Kernel) width(slot int) int {
	for i := range k.calls {
		if c := &k.calls[i]; int(c.Out[0]) == slot {
			return c.Weights[2].Out
		}
	}
	return 0
}

// extent is how many elements the calls write of a slot, counted from its first.
func (k *Kernel) extent(slot int, f *kernels.Frame) int {
	n := 0
	for i := range k.calls {
		c := &k.calls[i]
		if at := slices.Index(c.Out, kernels.Slot(slot)); at >= 0 {
			n = max(n, extent(c, at, f))
		}
	}
	return n
}

// extent is how many elements a call writes of its output at: rows of a known width, or all of it.
func extent(c *kernels.Call, at int, f *kernels.Frame) int {
	rows := f.Rows.N
	switch c.Op {
	case kernels.Embed:
		return rows * c.Weights[0].In
	case kernels.RMSNorm, kernels.Route:
		return rows * c.Weights[0].Out
	case kernels.Linear:
		return rows * c.Weights[at].Out
	case kernels.RoPE:
		if at == 1 {
			return rows * c.KVHeads * c.KeySize
		}
		return rows * c.Heads * c.KeySize
	case kernels.Attend:
		return rows * c.Heads * c.KeySize
	case kernels.Head:
		return len(f.Rows.Draw) * c.Weights[0].Out
	}
	return math.MaxInt
}

// Time that a call may take besides the deadline, by what it has to do: about what one slow core takes for the
// plainest of kernels, on a busy machine, and for weights that a slow disk has yet to deliver.
const (
	timePerMAC   = 5 * time.Nanosecond
	timePerByte  = 20 * time.Nanosecond // of weights
	maxAllowance = 10 * time.Minute
)

// allowance is the time that a call may take besides the deadline.
func (k *Kernel) allowance(f *kernels.Frame) time.Duration {
	rows := max(f.Rows.N, len(f.Rows.Draw))
	if k.parts {
		rows = len(f.Work.Row)
	}
	macs := float64(k.macs) * float64(rows)
	for i := range k.calls {
		c := &k.calls[i]
		if c.Op != kernels.Attend {
			continue
		}
		keys := 0
		for _, pos := range f.Rows.Pos {
			keys += int(pos) + 1
		}
		for _, n := range f.Rows.Keyless {
			keys += int(n)
		}
		macs += 2 * float64(keys) * float64(c.Heads*c.KeySize)
	}
	return time.Duration(min(macs*float64(timePerMAC)+float64(k.bytes)*float64(timePerByte), float64(maxAllowance)))
}
