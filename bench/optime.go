package bench

import (
	"context"
	"sync/atomic"
	"time"

	"troupe/kernels"
)

// OpTime is the time of one op of the table in a round of its own, or of all that is no op ("other":
// actors, routing, sampling). A share is of the whole; microseconds are by token.
type OpTime struct {
	Op            string  `json:"op"`
	DecodeMicros  float64 `json:"decode_micros"`
	DecodeShare   float64 `json:"decode_share"`
	PrefillMicros float64 `json:"prefill_micros"`
	PrefillShare  float64 `json:"prefill_share"`
}

// opTimer adds up the time of each op. It is put around kernels; an engine without it pays nothing.
type opTimer [kernels.NumOps]atomic.Int64

// opTimes is a timer's reading, nanoseconds.
type opTimes [kernels.NumOps]int64

func (t *opTimer) read() (now opTimes) {
	for op := range t {
		now[op] = t[op].Load()
	}
	return now
}

func (t *opTimer) wrap(op kernels.Op, k kernels.Kernel) kernels.Kernel {
	return &timedKernel{k, &t[op]}
}

type timedKernel struct {
	kernel kernels.Kernel
	spent  *atomic.Int64
}

var epoch = time.Now() // a distance costs half of reading the clock

// Run runs the kernel and adds its time.
func (k *timedKernel) Run(f *kernels.Frame) error {
	begin := time.Since(epoch)
	err := k.kernel.Run(f)
	k.spent.Add(int64(time.Since(epoch) - begin))
	return err
}

// timeOps runs a round with an engine whose ops are timed, so that the other rounds are not.
func (r *run) timeOps(ctx context.Context, s *subject) error {
	timer := &opTimer{}
	g := newGate(r.Model.Model.NumLayers)
	engine, err := s.Start(ctx, g.turn, timer.wrap)
	if err != nil {
		return err
	}
	err = r.warm(ctx, engine)
	if err == nil {
		var prefilled opTimes
		begin, before := timer.read(), r.limits(s)
		after := before
		var m measured
		m, err = r.measure(ctx, engine, g, func() { prefilled, after = timer.read(), r.limits(s) })
		if err == nil && m.held {
			s.ops = r.opTimes(begin, prefilled, timer.read(), m, g.decoded())
			s.matmuls = s.matmulRatio((before.multiply + after.multiply) / 2)
		}
	}
	if e := stopEngine(engine); err == nil {
		err = e
	}
	return err
}

// opTimes makes the table of a prefill that lasted from begin to half, and of decode from there to end.
func (r *run) opTimes(begin, half, end opTimes, m measured, decoded int) (list []OpTime) {
	prompt, tokens := float64(r.Prompt*r.Streams), float64(decoded)
	wholePrefill, wholeDecode := float64(m.prefill), ratio(1e9*tokens, m.rate)
	add := func(op string, prefill, decode float64) {
		list = append(list, OpTime{op, ratio(decode, tokens) / 1e3, ratio(decode, wholeDecode),
			prefill / prompt / 1e3, ratio(prefill, wholePrefill)})
	}
	restPrefill, restDecode := wholePrefill, wholeDecode
	for op := range kernels.NumOps {
		prefill, decode := float64(half[op]-begin[op]), float64(end[op]-half[op])
		restPrefill, restDecode = restPrefill-prefill, restDecode-decode
		if prefill > 0 || decode > 0 {
			add(kernels.Table[op].Name, prefill, decode)
		}
	}
	add("other", max(0, restPrefill), max(0, restDecode)) // 0 where devices work at the same time
	return list
}

// matmulRatio is the part of a peak that the multiply-adds of prefill use in the time of linear and expert
// alone. Several devices share the peak and work at the same time: 0.
func (s *subject) matmulRatio(peak float64) float64 {
	micros := 0.0
	for _, op := range s.ops {
		if op.Op == kernels.Table[kernels.Linear].Name || op.Op == kernels.Table[kernels.Expert].Name {
			micros += op.PrefillMicros
		}
	}
	if s.Devices > 1 {
		return 0
	}
	return ratio(ratio(float64(s.cost.macs), micros/1e6), peak)
}
