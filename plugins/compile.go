package plugins

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"google.golang.org/grpc"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
)

// Kernel is a segment that a plugin has compiled.
type Kernel struct {
	lib     *Library
	id      uint64
	calls   []kernels.Call // kept, as their weights must be
	slots   []use          // by slot
	layers  []int          // whose caches are used
	parts   bool           // the slots of experts' parts hold the rows of the work alone
	macs    int            // multiplications a row, of matrices
	bytes   int            // of weights
	held    *held
	cleanup runtime.Cleanup

	paces   [2]pace  // of decode and prefill
	buffers []buffer // of the call at hand, by slot
	views   []cacheUse
	work    []int32 // destinations, from 0 on
}

// use is what a segment does with a slot.
type use uint8

const (
	unused use = iota
	reads
	writes
	live  // writes, and the old contents matter
	parts // writes the rows of the work
)

// held is what a kernel holds of its library.
type held struct {
	kernel    uint64
	constants []*constant
}

// compileRate is what compiling a segment may take for each byte of weights, besides the time of any control call: a
// plugin may copy them to a device.
const compileRate = 10 * time.Nanosecond

// Compile has the plugin prepare a segment. Weights in regions are named, others copied to where it can read them.
func (l *Library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	if err := l.lost(); err != nil {
		return nil, err
	}
	l.collect(false)
	for i := range s.Calls {
		if op := s.Calls[i].Op; !slices.Contains(l.info.Ops, op) {
			return nil, fmt.Errorf("plugins: %s: %v: %w", l.name, op, kernels.ErrNoKernel)
		}
	}
	r := &request{lib: l, CompileRequest: &pb.CompileRequest{Kernel: l.kernels.Add(1), Arith: uint32(s.Arith)}, weights: map[*kernels.Weight]uint32{}}
	if err := r.calls(s.Calls); err != nil {
		return nil, err
	}
	used, err := l.consts.place(r.copied)
	if err != nil {
		return nil, fmt.Errorf("plugins: %s: %w", l.name, err)
	}
	h := &held{r.Kernel, used}
	ctx, cancel := context.WithTimeout(context.Background(), l.process.config.Start+time.Duration(r.bytes)*compileRate)
	defer cancel()
	reply, err := l.process.control.Compile(ctx, r.CompileRequest, grpc.MaxCallRecvMsgSize(maxAnswer))
	switch {
	case err != nil:
		err = l.controlFault(ctx, "compile", err)
	case reply.NoKernel:
		err = fmt.Errorf("plugins: %s: %s: %w", l.name, text(reply.Error), kernels.ErrNoKernel)
	case reply.Error != "":
		err = fmt.Errorf("plugins: %s: compile: %.300s", l.name, text(reply.Error))
	}
	if err != nil {
		l.trash.add(h)
		return nil, err
	}
	return l.kernel(s.Calls, h, r.bytes), nil
}

func (l *Library) kernel(calls []kernels.Call, h *held, bytes int) *Kernel {
	k := &Kernel{lib: l, id: h.kernel, calls: slices.Clone(calls), held: h, bytes: bytes}
	k.paces = pacesOf(l.threads)
	foot := kernels.FootprintOf(calls)
	mark := func(slots []kernels.Slot, u use) {
		for _, s := range slots {
			for len(k.slots) <= int(s) {
				k.slots = append(k.slots, unused)
			}
			k.slots[s] = u
		}
	}
	mark(foot.Reads, reads)
	mark(foot.Writes, writes)
	mark(foot.Live, live)
	k.parts = true
	for i := range calls {
		c := &calls[i]
		k.parts = k.parts && c.Op == kernels.Expert
		for _, w := range c.Weights {
			k.macs += w.In * w.Out
		}
		if c.Op == kernels.Attend && !slices.Contains(k.layers, c.Layer) {
			k.layers = append(k.layers, c.Layer)
		}
	}
	for i := range calls {
		k.parts = k.parts && k.slots[calls[i].In[0]] == reads
	}
	for i := range calls {
		if k.parts {
			mark(calls[i].Out, parts)
		}
	}
	k.buffers, k.views = make([]buffer, len(k.slots)), make([]cacheUse, len(k.layers))
	k.cleanup = runtime.AddCleanup(k, func(h *held) { l.trash.add(h) }, h)
	return k
}

// Close has the plugin forget the kernel, soon. It must not run any more. A kernel that nobody holds any more is
// forgotten as well, some time later.
func (k *Kernel) Close() error {
	k.cleanup.Stop()
	if k.lib.trash.add(k.held) == trashMin {
		k.lib.sweeps.Go(func() { k.lib.collect(true) }) // a lane must not wait for it
	}
	return nil
}

// request collects what a segment needs.
type request struct {
	*pb.CompileRequest
	lib     *Library
	weights map[*kernels.Weight]uint32
	ropes   map[*kernels.Rope]*pb.Rope
	copied  []wanted
	bytes   int
}

func (r *request) calls(calls []kernels.Call) error {
	r.ropes = map[*kernels.Rope]*pb.Rope{}
	for i := range calls {
		c := &calls[i]
		p := &pb.Call{
			Op: uint32(c.Op), Layer: int64(c.Layer), In: slotBytes(c.In), Out: slotBytes(c.Out), Multiplier: c.Multiplier, Cap: c.Cap, Eps: c.Eps,
			Heads: int64(c.Heads), KvHeads: int64(c.KVHeads), KeySize: int64(c.KeySize),
		}
		if c.Op >= kernels.NumOps || len(c.In) == 0 && c.Op != kernels.Embed || len(c.Out) == 0 {
			return fmt.Errorf("plugins: %s: %v: call %d has %d inputs and %d outputs", r.lib.name, c.Op, i, len(c.In), len(c.Out))
		}
		for _, w := range c.Weights {
			n, err := r.weight(w)
			if err != nil {
				return err
			}
			p.Weights = append(p.Weights, n)
		}
		if c.Rope != nil {
			if r.ropes[c.Rope] == nil {
				t := &pb.Rope{}
				var err error
				if t.Cos, err = memoryOf(r, c.Rope.Cos); err == nil {
					t.Sin, err = memoryOf(r, c.Rope.Sin)
				}
				if err != nil {
					return err
				}
				r.ropes[c.Rope] = t
			}
			p.Rope = r.ropes[c.Rope]
		}
		r.Calls = append(r.Calls, p)
	}
	return nil
}

func slotBytes(s []kernels.Slot) []byte {
	b := make([]byte, len(s))
	for i, x := range s {
		b[i] = byte(x)
	}
	return b
}

func (r *request) weight(w *kernels.Weight) (uint32, error) {
	if n, ok := r.weights[w]; ok {
		return n, nil
	}
	if w == nil {
		return 0, errors.New("plugins: a call without its weight")
	}
	if err := w.Check(); err != nil {
		return 0, err
	}
	p := &pb.Weight{Name: w.Name, In: int64(w.In), Out: int64(w.Out), Groups: int64(w.Groups), Panels: w.Panels, ByOutput: w.ByOutput}
	var err error
	if p.Q, err = memoryOf(r, w.Q); err != nil {
		return 0, err
	}
	if p.Scales, err = memoryOf(r, w.Scales); err != nil {
		return 0, err
	}
	if p.F, err = memoryOf(r, w.F); err != nil {
		return 0, err
	}
	n := uint32(len(r.Weights))
	r.Weights = append(r.Weights, p)
	r.weights[w] = n
	return n, nil
}

// memoryOf says where an array lies, or will lie when it has been copied. No array has no place.
func memoryOf[T int8 | float32](r *request, mem []T) (*pb.Memory, error) {
	if len(mem) == 0 {
		return nil, nil
	}
	b := bytesOf(mem)
	r.bytes += len(b)
	region, offset, ok, err := locate(r.lib.shared, b)
	if err != nil {
		return nil, err
	}
	if ok {
		return &pb.Memory{Region: region, Offset: uint64(offset), Length: uint64(len(b))}, nil
	}
	m := &pb.Memory{}
	r.copied = append(r.copied, wanted{b, m})
	return m, nil
}

// bytesOf looks at numbers as bytes.
func bytesOf[T int8 | int32 | uint16 | float32](s []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}
