package actors

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"troupe/kernels"
)

// lender lends a library to the engine as a plugin is lent, under the name plugin:NAME: kernels/ref, with
// whatever a test wants to go wrong.
type lender struct {
	name string
	// after is called behind each segment when set; its error is the kernel's.
	after          atomic.Pointer[func(kernels.Segment, *kernels.Frame) error]
	opening        atomic.Pointer[func() error]
	opened, closed atomic.Int32
	promise        kernels.Promise
}

func lend(t testing.TB, name string) *lender {
	t.Helper()
	l := &lender{name: "plugin:" + name}
	err := kernels.Lend(kernels.Variant{
		Name: l.name, Doc: "ref, lent by a test", Score: func() int { return 1 },
		Open: func(threads kernels.Threads) (kernels.Library, error) {
			if f := l.opening.Load(); f != nil {
				if err := (*f)(); err != nil {
					return nil, err
				}
			}
			ref, err := kernels.Find("ref")
			if err != nil {
				return nil, err
			}
			inner, err := ref.Open(threads)
			l.opened.Add(1)
			return &lentLibrary{Library: inner, from: l}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kernels.Return(l.name)
		if l.opened.Load() != l.closed.Load() {
			t.Errorf("%s was opened %d times, and closed %d times", l.name, l.opened.Load(), l.closed.Load())
		}
	})
	return l
}

func (l *lender) set(f func(kernels.Segment, *kernels.Frame) error) { l.after.Store(&f) }
func (l *lender) open(f func() error)                               { l.opening.Store(&f) }

type lentLibrary struct {
	kernels.Library
	from *lender
	over atomic.Bool
}

func (l *lentLibrary) Info() kernels.Info {
	info := l.Library.Info()
	info.Name, info.Promise = l.from.name, l.from.promise
	return info
}

func (l *lentLibrary) Close() error {
	if l.over.Swap(true) {
		return errors.New("closed twice")
	}
	l.from.closed.Add(1)
	return l.Library.Close()
}

func (l *lentLibrary) PID() int { return 4711 }

func (l *lentLibrary) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k, err := l.Library.Compile(s)
	return lentKernel{k, s, l}, err
}

type lentKernel struct {
	kernels.Kernel
	segment kernels.Segment
	library *lentLibrary
}

func (k lentKernel) Run(f *kernels.Frame) error {
	if k.library.over.Load() {
		return errors.New("run after it was closed")
	}
	if err := k.Kernel.Run(f); err != nil {
		return err
	}
	if after := k.library.from.after.Load(); after != nil {
		return (*after)(k.segment, f)
	}
	return nil
}

// wrong spoils the first element of what an op of a layer has written.
func wrong(op kernels.Op, layer int) func(kernels.Segment, *kernels.Frame) error {
	return func(s kernels.Segment, f *kernels.Frame) error {
		for _, c := range s.Calls {
			if c.Op == op && c.Layer == layer && len(f.Bufs[c.Out[0]]) > 0 {
				f.Bufs[c.Out[0]][0] = -1 - f.Bufs[c.Out[0]][0]
			}
		}
		return nil
	}
}

// upset turns every sign.
func upset(op kernels.Op, layer int) func(kernels.Segment, *kernels.Frame) error {
	return func(s kernels.Segment, f *kernels.Frame) error {
		for _, c := range s.Calls {
			for i := range f.Bufs[c.Out[0]] {
				if c.Op == op && c.Layer == layer {
					f.Bufs[c.Out[0]][i] *= -1
				}
			}
		}
		return nil
	}
}

// crash fails as a plugin does whose process has died.
func crash(kernels.Segment, *kernels.Frame) error {
	return &kernels.Fault{Library: "plugin", Kind: kernels.Crash, Err: errors.New("killed")}
}

// diary keeps the events of an engine.
type diary struct {
	mu     sync.Mutex
	events []KernelEvent
	more   chan struct{}
}

func newDiary(o *Options) *diary {
	d := &diary{more: make(chan struct{}, 1)}
	o.Events = func(e KernelEvent) {
		d.mu.Lock()
		d.events = append(d.events, e)
		d.mu.Unlock()
		select {
		case d.more <- struct{}{}:
		default:
		}
	}
	return d
}

func (d *diary) all(step string) (events []KernelEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Step == step {
			events = append(events, e)
		}
	}
	return events
}

// await waits for the nth event of a step. One goroutine may wait.
func (d *diary) await(t *testing.T, step string, n int) KernelEvent {
	t.Helper()
	for {
		if events := d.all(step); len(events) >= n {
			return events[n-1]
		}
		select {
		case <-d.more:
		case <-t.Context().Done():
			t.Fatalf("no %s event number %d: %+v", step, n, d.events)
		}
	}
}

// traffic runs requests again and again until it is stopped, and compares each outcome.
func traffic(t *testing.T, e *Engine, want []outcome) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, r := range asks(t) {
		wg.Go(func() {
			for ctx.Err() == nil {
				s, err := e.Submit(t.Context(), r)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				if got := collect(s); want != nil {
					compare(t, []outcome{got}, want[i:i+1])
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func swapTo(e *Engine, t *testing.T, binding string, shadow int) error {
	t.Helper()
	return e.Swap(t.Context(), Change{Binding: bindingOf(t, binding), Shadow: shadow})
}

func bindingOf(t *testing.T, s string) kernels.Binding {
	t.Helper()
	b, err := kernels.ParseBinding(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
