package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/processor"
	"troupe/plugins/internal/wire"
)

// Library is a variant of a plugin, open in a process of its own.
type Library struct {
	name    string
	info    kernels.Info
	threads kernels.Threads
	process *process
	shared  *shared
	consts  *constants

	lane    sync.Mutex // held by the call that runs
	number  uint32     // of the last call
	caches  *caches
	room    *room
	encoder wire.Encoder

	near processor.Near

	// Of calls with several kernels.
	together []*Kernel
	paces    [2]pace // of decode and prefill

	kernels atomic.Uint64 // numbers given to kernels
	failed  atomic.Pointer[kernels.Fault]
	stats   counters
	trash   trash
	sweeps  sync.WaitGroup // of trash
}

var _ kernels.Library = (*Library)(nil)

// open starts the process and has it open a variant.
func open(c Config, lent, variant string, t kernels.Threads) (*Library, error) {
	p, err := start(context.Background(), c)
	if err != nil {
		return nil, err
	}
	l := &Library{name: lent, threads: t, process: p, shared: newShared(p)}
	l.paces = pacesOf(t)
	l.consts, l.caches, l.room = newConstants(l.shared), newCaches(l), &room{shared: l.shared}
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	info, err := p.control.Open(ctx, &pb.OpenRequest{Variant: variant, DecodeThreads: int32(t.Decode), PrefillThreads: int32(t.Prefill)}, grpc.MaxCallRecvMsgSize(maxAnswer))
	if err != nil {
		err = p.because(err)
	} else {
		l.info, err = checkInfo(info)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("plugins: %s: open %s: %w", c.Path, variant, err), l.Close())
	}
	l.info.Name = lent
	return l, nil
}

const (
	openTime  = time.Minute // a device may have to be found and warmed up
	closeTime = 500 * time.Millisecond
)

// Info describes the variant; its name is the lent one.
func (l *Library) Info() kernels.Info { return l.info }

// PID is the number of the process.
func (l *Library) PID() int { return l.process.child.pid() }

// Exited tells that the process has ended.
func (l *Library) Exited() bool { return l.process.gone.Load() }

// Close ends the process and gives back all memory. None of its kernels may run meanwhile.
func (l *Library) Close() error {
	var err error
	if l.info.Name != "" && l.failed.Load() == nil && !l.Exited() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if _, e := l.process.control.Close(ctx, &pb.Empty{}); e != nil && !l.process.dies(e) {
			err = fmt.Errorf("plugins: %s: close: %w", l.name, controlError(e))
		}
	}
	l.failed.CompareAndSwap(nil, &kernels.Fault{Library: l.name, Kind: kernels.Lost, Err: errors.New("it is closed")})
	l.process.kill()
	l.lane.Lock() // a call that should not be under way any more has an answer now: that the process is gone
	l.process.end()
	l.lane.Unlock()
	l.sweeps.Wait()
	l.lane.Lock()
	defer l.lane.Unlock()
	l.caches.close()
	l.room.close()
	l.consts.close()
	return err
}

// fail ends the process after a fault. The first one is the reason of all later errors.
func (l *Library) fail(kind kernels.FaultKind, err error) error {
	f := &kernels.Fault{Library: l.name, Kind: kind, Err: err}
	if l.failed.CompareAndSwap(nil, f) {
		l.process.config.Log.Debug("plugin failed", "library", l.name, "kind", kind.String(), "error", err.Error())
	}
	l.process.kill()
	return f
}

// lost is the error of a library that has failed before, or whose process has ended; nil when it is well.
func (l *Library) lost() error {
	if f := l.failed.Load(); f != nil {
		return &kernels.Fault{Library: l.name, Kind: kernels.Lost, Err: fmt.Errorf("after: %w", f.Err)}
	}
	if l.process.gone.Load() {
		return l.fail(kernels.Crash, errors.New(l.process.epitaph()))
	}
	return nil
}

// controlFault is the error of a control call that failed. One that came too late, or that ended the process, ends
// the library.
func (l *Library) controlFault(ctx context.Context, what string, err error) error {
	// The other side sees the end of the time too, and may say so first.
	code := status.Code(err)
	switch {
	case l.failed.Load() != nil:
		return l.lost()
	case ctx.Err() != nil || code == codes.DeadlineExceeded || code == codes.Canceled:
		return l.fail(kernels.Hang, fmt.Errorf("%s: no answer in time: %w", what, controlError(err)))
	case l.process.dies(err):
		return l.lost()
	default:
		return fmt.Errorf("plugins: %s: %s: %w", l.name, what, controlError(err))
	}
}

// Stats counts the calls of a library.
type Stats struct {
	Calls     int64
	BytesIn   int64         // copied into shared memory
	BytesOut  int64         // copied out of it
	Kernel    time.Duration // in the plugin's kernels
	RoundTrip time.Duration // from the doorbell to the answer, Kernel included
	Constants int64         // bytes of weights and tables that had to be copied, at present
	Compiled  int64         // kernels
}

type counters struct {
	calls, in, out, kernel, trip atomic.Int64
}

// Stats is what has been counted so far.
func (l *Library) Stats() Stats {
	s := &l.stats
	return Stats{
		Calls: s.calls.Load(), BytesIn: s.in.Load(), BytesOut: s.out.Load(), Kernel: time.Duration(s.kernel.Load()),
		RoundTrip: time.Duration(s.trip.Load()), Constants: l.consts.bytes(), Compiled: int64(l.kernels.Load()),
	}
}
