package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sched"
)

// ErrStopped refuses a request because the engine has been stopped.
var ErrStopped = errors.New("actors: the engine has stopped: start another one")

// Engine is a running pipeline. Its methods may be called from any goroutine.
type Engine struct {
	log     *slog.Logger
	system  *actor.ActorSystem
	devices []*device
	rooms   rooms
	mu      sync.Mutex
	actors  []*actor.PID   // in order of their start
	alive   sync.WaitGroup // actors that have not stopped
	head    *actor.PID
	seats   []*seat
	hosts   []*host            // workers
	troops  atomic.Uint32      // parts that workers have opened, counted
	count   []*router.Counters // by stage, each of its lane; nil: routing is not counted
	credits []*credit
	binder  *binder
	keeper  *keeper
	plan    model.Plan
	number  uint64        // among the engines of this process
	epoch   atomic.Uint64 // counts the times that parts have died; what is of an earlier one is dropped

	journals []*stages.Journal // [stages+1] of what enters a stage; nil: none

	end    sync.Once
	ended  chan struct{} // closed when nothing more will be computed
	reason error         // why; valid when ended is closed

	stop    sync.Once
	phase   atomic.Value  // string: what Stop waits for
	stopped chan struct{} // closed when everything has been given back
	stopErr error         // valid then
}

// Submit hands a request in. It returns sched.ErrFull at once when the house is full, and an error that
// says why when the request cannot be served. Cancelling ctx cancels the request.
func (e *Engine) Submit(ctx context.Context, r sched.Request) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.over() {
		return nil, e.reason
	}
	s := newStream(e)
	reply := make(chan error, 1)
	e.tell(&submit{request: r, stream: s, reply: reply})
	s.watch(ctx) // after submit: a cancel comes behind it in the head's mailbox
	select {
	case err := <-reply:
		if err != nil {
			s.end()
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.ended:
		s.end()
		return nil, e.reason
	}
}

// engines counts those of this process that share a Net.
var engines atomic.Uint64

// name is how an actor of the engine is registered. Engines that share a Net (replicas) share its actor system too.
func (e *Engine) name(name string) string {
	if net := e.keeper.options.Net; net != nil {
		return net.name(fmt.Sprintf("%s-of-%d", name, e.number))
	}
	return name
}

// tell sends the head a message from outside.
func (e *Engine) tell(message any) { e.system.Root.Send(e.head, message) }

// over reports whether the engine has ended.
func (e *Engine) over() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// finish ends service: open streams and new requests get the reason. The first reason stays.
func (e *Engine) finish(reason error) {
	e.end.Do(func() {
		e.reason = reason
		close(e.ended)
	})
}

// panicked ends the engine's service: a panic is a bug of ours, and what state it left the head in is not trusted.
func (e *Engine) panicked(name string, reason any, stack []byte) {
	e.log.Error("panic", slog.String("actor", name), slog.Any("panic", reason), slog.String("stack", string(stack)))
	e.finish(fmt.Errorf("actors: BUG: %s: panic: %v: please report it with the log of the part actors", name, reason))
}

// stopActor is the guardian's verdict on every panic. Restarting would make a new instance with the old
// name and lose the message in hand without a word.
var stopActor = actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })

// spawn starts an actor on a lane. What is told of its panic runs there, before anything else does.
func (e *Engine) spawn(name string, a actor.Actor, on actor.Dispatcher, panicked func(reason any, stack []byte, message any)) (*actor.PID, error) {
	box := &mailbox{panicked: panicked}
	props := actor.PropsFromProducer(func() actor.Actor { return &counted{Actor: a, alive: &e.alive} },
		actor.WithDispatcher(on), actor.WithMailbox(func() actor.Mailbox { return box }))
	e.alive.Add(1)
	pid, err := e.system.Root.SpawnNamed(props, name)
	if err != nil {
		e.alive.Done()
		return nil, fmt.Errorf("actors: %s: %w", name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.actors = append(e.actors, pid)
	return pid, nil
}

// counted is an actor that is counted while it lives, and dies or stops when it is told to.
type counted struct {
	actor.Actor
	alive  *sync.WaitGroup
	halted []any // messages that have come meanwhile; nil: it takes them
}

// Receive hands on what it is not concerned with.
func (a *counted) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopped:
		a.alive.Done()
	case *die:
		panic(killed{"BUG: none: killed on purpose", m.injury})
	case *halt:
		if a.halted == nil {
			a.halted = []any{}
			self, system := c.Self(), c.ActorSystem()
			time.AfterFunc(m.during, func() { system.Root.Send(self, &wake{}) })
		}
	case *wake:
		late := a.halted
		a.halted = nil
		for _, m := range late {
			a.Actor.Receive(afterwards{c, m})
		}
	case actor.SystemMessage, actor.AutoReceiveMessage:
		a.Actor.Receive(c)
	default:
		if a.halted != nil {
			a.halted = append(a.halted, m)
			return
		}
		a.Actor.Receive(c)
	}
}

// afterwards is a message that has waited.
type afterwards struct {
	actor.Context
	message any
}

// Message is the one that has waited.
func (c afterwards) Message() any { return c.message }

// newSystem makes an actor system that keeps quiet: what matters is logged here, in our words.
func newSystem() *actor.ActorSystem {
	quiet := slog.New(slog.DiscardHandler)
	s := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond)) // a goroutine lives that long after a dead letter
	s.Root.WithGuardian(stopActor)
	return s
}
