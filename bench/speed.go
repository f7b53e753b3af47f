package bench

import (
	"context"
	"time"

	"troupe/kernels"
)

// Speed is what threads of this machine reach when they do nothing else.
type Speed struct {
	Read     float64 // bytes a second of an expert in decode, one row, by the decode threads, from memory
	Multiply float64 // multiply-adds a second of an expert in prefill, by the prefill threads
}

// proberTries is how often a prober measures: other programs can only make a machine look slower, so the best counts.
const proberTries = 3

// Prober measures speeds, each number of threads once.
type Prober struct {
	op    OpOptions
	rows  int // of an expert in prefill
	known map[kernels.Threads]Speed
}

// proberWeights bounds the weights of the expert that a prober multiplies with, in bytes as int8: it is made as narrow as
// that takes, and speed depends on rows much more than on width.
const proberWeights = 24 << 20

// proberCold is how much weights a prober reads in turns, at least, so that they come from memory.
const proberCold = 96 << 20

// NewProber prepares for measuring with a variant and experts of a shape (In, Out, Groups, Float) that get so many rows
// each in prefill.
func NewProber(v kernels.Variant, a kernels.Arith, expert Shape, rows int) *Prober {
	block := 128 * max(expert.Groups, 1) // groups of whole blocks
	if most := proberWeights / (3 * expert.In); expert.Out > most && expert.Out > block {
		expert.Out = max(most/block*block, block)
	}
	o := OpOptions{Op: kernels.Expert, Arith: a, Shape: expert, Variants: []kernels.Variant{v}, Repetitions: proberTries,
		ProbeBytes: 1, ProbeTime: time.Millisecond, // what a sample is compared with does not matter here
		ColdBytes: max(proberCold, 4*lastLevelCache())}
	return &Prober{op: o, rows: max(rows, 1), known: map[kernels.Threads]Speed{}}
}

// Speed is what so many threads reach, at the best of some tries. It takes less than half a second, a second time nothing.
func (p *Prober) Speed(ctx context.Context, t kernels.Threads) (Speed, error) {
	s, ok := p.known[t]
	if ok {
		return s, nil
	}
	decode, prefill := p.op, p.op
	decode.Rows, decode.Threads, decode.Cold = []int{1}, t.Decode, true
	prefill.Rows, prefill.Threads = []int{p.rows}, t.Prefill
	r, err := RunOp(ctx, decode)
	if err != nil {
		return s, err
	}
	s.Read = best(r.Results[0].Bytes, r.Results[0].Micros)
	if r, err = RunOp(ctx, prefill); err != nil {
		return s, err
	}
	s.Multiply = best(r.Results[0].MACs, r.Results[0].Micros)
	p.known[t] = s
	return s, nil
}

// best is a rate at the fastest of several times, when it is known at the median.
func best(rate float64, micros Stat) float64 { return rate * ratio(micros.Median, micros.Min) }
