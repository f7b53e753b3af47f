package actors

import (
	"runtime"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestLaneRunsTurnsInOrderOnOneThread(t *testing.T) {
	l := newLane()
	const senders, each = 4, 500
	last := make([]int, senders)
	running := 0
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := 1; i <= each; i++ {
				l.Schedule(func() {
					running++
					if running != 1 || last[s] != i-1 {
						t.Errorf("sender %d: turn %d after %d, %d at once", s, i, last[s], running)
					}
					last[s] = i
					running--
				})
			}
		})
	}
	wg.Wait()
	l.stop()
	for s, n := range last {
		if n != each {
			t.Errorf("sender %d: %d turns before the lane had stopped, want %d", s, n, each)
		}
	}
}

func TestLaneWakesFromPark(t *testing.T) {
	l := newLane()
	defer l.stop()
	for range 50 {
		for parked := false; !parked; {
			runtime.Gosched()
			l.mu.Lock()
			parked = l.parked
			l.mu.Unlock()
		}
		ran := false
		l.do(func() { ran = true })
		if !ran {
			t.Fatal("do returned before its function had run")
		}
	}
}

func TestStoppedLaneRefusesTurns(t *testing.T) {
	l := newLane()
	l.stop()
	l.Schedule(func() { t.Error("a turn ran on a stopped lane") })
	l.do(func() { t.Error("do ran on a stopped lane") })
	l.stop() // again: nothing to wait for
}

func testMailbox() actor.Mailbox { return &mailbox{panicked: func(any, []byte, any) {}} }

// counter counts what it receives, and panics when asked to.
type counter struct{ got []int }

func (a *counter) Receive(c actor.Context) {
	if n, ok := c.Message().(int); ok {
		if n < 0 {
			panic("BUG: a test's own")
		}
		a.got = append(a.got, n)
	}
}

// Two actors on one lane take turns message by message, each in its own order.
func TestMailboxTakesTurns(t *testing.T) {
	system := newSystem()
	defer system.Shutdown()
	l := newLane()
	var order []string
	log := func(name string) *actor.PID {
		return system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if n, ok := c.Message().(int); ok {
				order = append(order, name+string(rune('0'+n)))
			}
		}, actor.WithDispatcher(l), actor.WithMailbox(testMailbox)))
	}
	a, b := log("a"), log("b")
	l.do(func() { // so that all are queued before the first is handed over
		for n := range 3 {
			system.Root.Send(a, n)
			system.Root.Send(b, n)
		}
	})
	l.do(func() {})
	for range 3 {
		l.do(func() {})
	}
	l.stop()
	want := []string{"a0", "b0", "a1", "b1", "a2", "b2"}
	if len(order) != len(want) {
		t.Fatalf("messages %v, want %v", order, want)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("messages %v, want %v", order, want)
		}
	}
}

// A panic suspends the mailbox; system messages, such as the guardian's stop, still come through.
func TestMailboxAfterPanic(t *testing.T) {
	system := newSystem()
	defer system.Shutdown()
	l := newLane()
	a := &counter{}
	stopped := make(chan struct{})
	pid := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Stopped); ok {
			close(stopped)
		}
		a.Receive(c)
	}, actor.WithDispatcher(l), actor.WithMailbox(testMailbox)))
	for _, n := range []int{1, 2, -1, 3} {
		system.Root.Send(pid, n)
	}
	<-stopped
	l.stop()
	if len(a.got) != 2 {
		t.Errorf("messages %v, want those before the panic: 1 2", a.got)
	}
}

func TestFifo(t *testing.T) {
	var q fifo
	next, want := 0, 0
	for round := range 200 {
		for range round%7 + 1 {
			q.push(next)
			next++
		}
		for range min(q.len(), round%6+1) {
			if got := q.pop(); got != want {
				t.Fatalf("got %v, want %d", got, want)
			}
			want++
		}
		if q.len() != next-want {
			t.Fatalf("length %d, want %d", q.len(), next-want)
		}
	}
	if cap(q.items) > 4*(q.len()+8) {
		t.Errorf("a queue of %d holds room for %d: consumed places are not used again", q.len(), cap(q.items))
	}
}

// pong answers every ping; ping counts down and closes done.
type pong struct{}

type ball struct {
	left int
	back *actor.PID
	done chan struct{}
}

func (pong) Receive(c actor.Context) {
	if b, ok := c.Message().(*ball); ok {
		if b.left--; b.left <= 0 {
			close(b.done)
			return
		}
		to := b.back
		b.back = c.Self()
		c.Send(to, b)
	}
}

// BenchmarkHop is a message from one actor to another and the turn that it takes: on one lane, and
// between two.
func BenchmarkHop(b *testing.B) {
	for _, lanes := range []int{1, 2} {
		b.Run([]string{1: "one-lane", 2: "two-lanes"}[lanes], func(b *testing.B) {
			system := newSystem()
			defer system.Shutdown()
			var on [2]*lane
			on[0] = newLane()
			on[1] = on[0]
			if lanes == 2 {
				on[1] = newLane()
			}
			var pids [2]*actor.PID
			for i := range pids {
				pids[i] = system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return pong{} },
					actor.WithDispatcher(on[i]), actor.WithMailbox(testMailbox)))
			}
			b.ReportAllocs()
			b.ResetTimer()
			m := &ball{left: b.N, back: pids[1], done: make(chan struct{})}
			system.Root.Send(pids[0], m)
			<-m.done
			b.StopTimer()
			on[0].stop()
			on[1].stop()
		})
	}
}
