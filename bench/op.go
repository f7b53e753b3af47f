package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"troupe/kernels"
	"troupe/kernels/cpu"
)

// Shape is what one op works on. Each op uses the fields that its entry in the table names; see Shapes.
type Shape struct {
	In      int  `json:"in"`       // K or D
	Out     int  `json:"out"`      // N, F or V
	Groups  int  `json:"groups"`   // of scales, over the inputs
	Heads   int  `json:"heads"`    // H
	KVHeads int  `json:"kv_heads"` // G
	KeySize int  `json:"key_size"` // d
	Context int  `json:"context"`  // keys of the last row
	Experts int  `json:"experts"`  // E of route, ranks of combine
	Float   bool `json:"float"`    // matrices in float32 where they could be int8
	Raw     bool `json:"raw"`      // int8 matrices as in checkpoints, not in panels
}

// OpOptions say which op is measured, and how.
type OpOptions struct {
	Op          kernels.Op
	Arith       kernels.Arith
	Shape       Shape
	Rows        []int // of batches
	Threads     int
	Variants    []kernels.Variant // they take turns
	Cold        bool              // every call reads weights, or keys and values, that are in no cache
	Repetitions int
	Progress    func(done, all int) // may be nil
	SampleTime  time.Duration       // of a sample, at least; 0: 20 ms
	ProbeTime   time.Duration       // 0: DefaultProbeTime
	ProbeBytes  int                 // 0: several times the caches
	ColdBytes   int                 // that copies take together with Cold; 0: 300 MB
}

const defaultColdBytes = 300 << 20

// OpReport is the result of RunOp. Rates are a second.
type OpReport struct {
	Op            string     `json:"op"`
	Arith         string     `json:"arith"`
	Threads       int        `json:"threads"`
	Cold          bool       `json:"cache_cold"`
	Shape         Shape      `json:"shape"`
	ReadBandwidth Stat       `json:"read_bandwidth"`
	Results       []OpResult `json:"results"`
	Machine       Machine    `json:"machine"`
	Others        float64    `json:"others"` // part of the processors' time that other programs had; -1: unknown
	Incomplete    bool       `json:"incomplete,omitempty"`
}

// OpResult is one variant at one number of rows.
type OpResult struct {
	Kernels        string  `json:"kernels"`
	Rows           int     `json:"rows"`
	Micros         Stat    `json:"micros"`                  // of a call
	MACs           float64 `json:"multiply_adds"`           // a second; 0: the op has none to speak of
	Bytes          float64 `json:"bytes"`                   // a second, of operands; each counts once a call
	PeakShare      float64 `json:"share_of_peak"`           // of the unit that the variant multiplies with
	BandwidthShare float64 `json:"share_of_read_bandwidth"` // above 1 where caches help
}

// RunOp measures an op. When ctx ends it returns what has been measured so far, and the cause.
func RunOp(ctx context.Context, o OpOptions) (*OpReport, error) {
	if o.SampleTime == 0 {
		o.SampleTime = 20 * time.Millisecond
	}
	if o.ProbeTime == 0 {
		o.ProbeTime = DefaultProbeTime
	}
	if o.ColdBytes == 0 {
		o.ColdBytes = defaultColdBytes
	}
	probe, err := newProbe(o.ProbeBytes)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	r := &OpReport{Op: o.Op.String(), Arith: o.Arith.String(), Threads: o.Threads, Cold: o.Cold, Shape: o.Shape, Machine: ThisMachine()}
	var read []float64
	done, start := 0, lookAtUsage()
	for _, rows := range o.Rows {
		trials, closeAll, err := o.prepare(rows)
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
		for range o.Repetitions {
			if err = o.turn(ctx, probe, trials, &read); err != nil {
				break
			}
			done++
			if o.Progress != nil {
				o.Progress(done, len(o.Rows)*o.Repetitions)
			}
		}
		r.ReadBandwidth, r.Others = StatOf(read), lookAtUsage().othersSince(start)
		for _, t := range trials {
			if len(t.micros) > 0 {
				r.Results = append(r.Results, t.result(rows))
			}
		}
		if err = errors.Join(err, closeAll()); err != nil {
			r.Incomplete = true
			return r, err
		}
	}
	return r, nil
}

// Offers tells whether a variant has the op for the shape and the arithmetic.
func (o OpOptions) Offers(v kernels.Variant) (ok bool, err error) {
	o.Cold = false // one copy will do
	w, err := newOpWork(&o, o.Rows[0])
	if err != nil {
		return false, err
	}
	lib, err := v.Open(kernels.SameThreads(o.Threads))
	if err == nil {
		_, err = lib.Compile(kernels.Segment{Arith: o.Arith, Calls: w.calls[:1]})
		if ok = err == nil; errors.Is(err, kernels.ErrNoKernel) {
			err = nil
		}
		err = errors.Join(err, lib.Close())
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", v.Name, err)
	}
	return ok, errors.Join(err, w.arena.Close())
}

// trial is a variant that is measured.
type trial struct {
	variant string
	unit    cpu.Unit
	work    *opWork
	kernels []kernels.Kernel // one for each copy of the operands
	next    int
	micros  []float64
	ofPeak  []float64 // shares of what the probes beside a sample found
	ofRead  []float64
}

// prepare opens the variants for one number of rows.
func (o *OpOptions) prepare(rows int) (trials []*trial, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() error {
		var errs []error
		for _, c := range slices.Backward(closers) {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	w, err := newOpWork(o, rows)
	if err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, w.arena.Close)
	for _, v := range o.Variants {
		lib, err := v.Open(kernels.SameThreads(o.Threads))
		if err != nil {
			return nil, closeAll, fmt.Errorf("%s: %w", v.Name, err)
		}
		closers = append(closers, lib.Close)
		t := &trial{variant: v.Name, work: w, unit: cpu.UnitOf(unitsOf(v.Name), o.Arith, w.int8)}
		for i := range w.calls {
			k, err := lib.Compile(kernels.Segment{Arith: o.Arith, Calls: w.calls[i : i+1]})
			if err != nil {
				return nil, closeAll, fmt.Errorf("%s: %w", v.Name, err)
			}
			t.kernels = append(t.kernels, k)
		}
		trials = append(trials, t)
	}
	return trials, closeAll, nil
}

// unitsOf names the library whose units a variant is measured by: itself, or for one of a plugin, which may multiply by
// whatever the machine has, the best one that is built in.
func unitsOf(variant string) string {
	if best, err := kernels.Find(""); err == nil && kernels.Lent(variant) {
		return best.Name
	}
	return variant
}

// turn takes a sample of each variant, with the probes between them.
func (o *OpOptions) turn(ctx context.Context, probe *cpu.Probe, trials []*trial, read *[]float64) error {
	bandwidth := probe.Read(o.Threads, o.ProbeTime)
	*read = append(*read, bandwidth)
	for _, t := range trials {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		seconds, err := t.sample(ctx, o.SampleTime)
		if err != nil {
			return err
		}
		peak := probe.Multiply(t.unit, o.Threads, o.ProbeTime/4)
		t.micros = append(t.micros, seconds*1e6)
		t.ofPeak = append(t.ofPeak, ratio(float64(t.work.macs)/seconds, peak))
		t.ofRead = append(t.ofRead, ratio(float64(t.work.bytes)/seconds, bandwidth))
	}
	return nil
}

// sample calls the kernel for a while and returns the seconds of a call. The first call is not counted,
// since threads may sleep.
func (t *trial) sample(ctx context.Context, d time.Duration) (float64, error) {
	calls, start := -1, time.Now()
	for time.Since(start) < d || calls < 1 {
		if err := t.kernels[t.next].Run(&t.work.frame); err != nil {
			return 0, fmt.Errorf("%s: %w", t.variant, err)
		}
		t.next = (t.next + 1) % len(t.kernels)
		if calls++; calls == 0 {
			start = time.Now()
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return max(time.Since(start).Seconds(), 1e-9) / float64(calls), nil
}

func (t *trial) result(rows int) OpResult {
	r := OpResult{Kernels: t.variant, Rows: rows, Micros: StatOf(t.micros), PeakShare: StatOf(t.ofPeak).Median, BandwidthShare: StatOf(t.ofRead).Median}
	r.MACs, r.Bytes = ratio(float64(t.work.macs), r.Micros.Median/1e6), ratio(float64(t.work.bytes), r.Micros.Median/1e6)
	return r
}
