package actors

import (
	"context"
	"log/slog"
	"time"

	"troupe/kernels"
	"troupe/stages"
)

// binder decides which libraries compute. It opens and compiles off the lanes, gives every device its program of
// a new generation, and only then has new batches belong to it; the lanes never wait. Everything here but what is
// said otherwise belongs to its one goroutine.
type binder struct {
	engine   *Engine
	ledger   *ledger   // any goroutine's
	herald   *herald   // any goroutine's
	suspects *suspects // any goroutine's
	options  *Options
	layers   int

	commands chan func()
	urgent   chan func() // heard also while libraries are opened, compiled or closed; leaves them alone
	reports  chan report
	quit     chan struct{} // closed to end it
	done     chan struct{} // closed when it has ended

	serve   kernels.Binding  // in force
	since   uint64           // generation from which on it has been, but for shadows
	back    *kernels.Binding // what a roll-back returns to; nil: nothing
	last    uint64           // generation that was compiled
	current uint64           // that new batches belong to
	live    []generation
	warmed  []warmed

	trial    *trial
	recovery *recovery
	waiting  *request // a swap that has come while a library recovers
	faults   int      // in the life of what was promoted last
	standby  int      // of what is behind it
	records  map[string]*record
	promoted promoted
	next     int // batches of the current generation after which they are looked at again; 0: not at all
}

// report is one of a room.
type report struct {
	room int
	stages.Report
}

// generation is one that has programs.
type generation struct {
	number uint64
	stages.Bindings
	programs []*stages.Program // by room; nil, or none, for one that is closed
}

// record counts what has become of a library.
type record struct{ faults, restarts int }

func (b *binder) record(library string) *record {
	if b.records[library] == nil {
		b.records[library] = &record{}
	}
	return b.records[library]
}

func newBinder(e *Engine, o *Options) *binder {
	b := &binder{engine: e, ledger: newLedger(), herald: newHerald(o.Events), suspects: &suspects{}, options: o,
		layers: o.Model.Model.NumLayers, commands: make(chan func()), urgent: make(chan func()), reports: make(chan report, 256),
		quit: make(chan struct{}), done: make(chan struct{}), serve: o.Binding, records: map[string]*record{}}
	b.back = b.behind(b.serve)
	return b
}

// hear takes a report from a lane, which does not wait. There are few: a library that has failed is left alone.
func (b *binder) hear(room int, r stages.Report) {
	if r.Wrong() {
		b.suspects.add(r)
		for _, other := range b.engine.rooms.all() {
			if other != nil && other.index != room {
				other.lane.Schedule(func() { other.libs.Programs().LeaveAlone(r) })
			}
		}
	}
	if r.Rescued != "" {
		b.suspects.rescued(r.Generation, r.Rescued)
	}
	select {
	case b.reports <- report{room, r}:
	default:
		b.engine.log.Warn("report of a library lost", slog.String("library", r.Library), slog.Any("error", r.Err))
	}
}

// ask has the binder do something.
func (b *binder) ask(ctx context.Context, f func()) error { return b.hand(ctx, b.commands, f) }

// urge has the binder do something that leaves libraries alone, even while it waits for some.
func (b *binder) urge(ctx context.Context, f func()) error { return b.hand(ctx, b.urgent, f) }

func (b *binder) hand(ctx context.Context, to chan<- func(), f func()) error {
	select {
	case to <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.done:
		<-b.engine.ended
		return b.engine.reason
	}
}

func (b *binder) run() {
	defer close(b.done)
	ended := b.engine.ended
	for {
		var retry <-chan time.Time
		if b.recovery != nil {
			retry = b.recovery.timer.C
		}
		select {
		case f := <-b.commands:
			f()
		case f := <-b.urgent:
			f()
		case r := <-b.reports:
			b.judge(r)
		case <-b.ledger.wake:
			b.look()
		case <-retry:
			b.retry()
		case <-ended:
			ended = nil
			b.abandon(b.engine.reason)
		case <-b.quit:
			b.abandon(ErrStopped)
			return
		}
		b.resume()
		b.drop()
	}
}

// aside does something with libraries that may take long, and meanwhile what is urgent.
func (b *binder) aside(slow func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		slow()
	}()
	for {
		select {
		case f := <-b.urgent:
			f()
		case <-done:
			return
		}
	}
}

// stop ends the binder; the lanes must still run.
func (b *binder) stop() {
	close(b.quit)
	<-b.done
	b.herald.stop()
}

// abandon ends what is under way without changing anything.
func (b *binder) abandon(why error) {
	if b.trial != nil {
		b.trial.answer(why)
	}
	if b.waiting != nil {
		b.waiting.done <- why
	}
	if b.recovery != nil {
		b.recovery.timer.Stop()
	}
	b.trial, b.recovery, b.waiting = nil, nil, nil
}

func (b *binder) tell(e KernelEvent) {
	if e.Generation == 0 {
		e.Generation = b.current
	}
	b.engine.log.Info("kernels", slog.String("step", e.Step), slog.String("binding", e.Binding), slog.String("library", e.Library),
		slog.Uint64("generation", e.Generation), slog.Int("batches", e.Batches), slog.Int("compared", e.Compared), slog.String("reason", e.Reason))
	b.herald.tell(e)
}
