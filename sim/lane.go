package sim

import (
	"math/rand/v2"
	"sync"
	"time"
)

// lane runs the turns of a device, one at a time. They run on a goroutine of its own, but only while the loop waits
// for it: so a turn can let time pass in its middle.
type lane struct {
	world  *World
	host   *host
	device int
	id     uint64 // among all lanes of the world
	rng    *rand.Rand

	hand chan struct{} // the baton comes from the loop
	done chan struct{} // closed when it has ended

	mu      sync.Mutex
	turns   []func()
	number  uint64 // of events
	active  bool   // an event of it is queued, or it has the baton
	stopped bool
	busy    time.Duration
}

// newLane makes a lane of a host's device: a worker makes new ones for every head.
func newLane(w *World, h *host, device int) *lane {
	h.mu.Lock()
	h.lanes[device]++
	id := mix(h.id<<32 + uint64(device)<<16 + h.lanes[device])
	h.mu.Unlock()
	l := &lane{world: w, host: h, device: device, id: id, hand: make(chan struct{}), done: make(chan struct{}), rng: w.rng(id)}
	go l.run()
	return l
}

// Schedule queues a turn.
func (l *lane) Schedule(turn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.turns = append(l.turns, turn)
	if !l.active {
		l.active = true
		l.next(l.world.hop(l))
	}
}

// next has the lane come on after some time. The caller has l.mu.
func (l *lane) next(after time.Duration) {
	l.number++
	l.world.loop.After(after, l.id, l.number, l.come)
}

// come gives the lane the baton, on the loop, unless its host is frozen.
func (l *lane) come() {
	if l.host.hold(l.come) {
		return
	}
	l.world.running = l
	l.hand <- struct{}{}
	<-l.world.loop.baton
	l.world.running = nil
	if l.world.o.Turned != nil {
		l.world.o.Turned(l.host.name)
	}
}

// pass lets time pass in the middle of a turn.
func (l *lane) pass(d time.Duration) {
	if d <= 0 {
		return
	}
	l.mu.Lock()
	l.busy += d
	l.next(d)
	l.mu.Unlock()
	l.world.loop.baton <- struct{}{}
	<-l.hand
}

func (l *lane) run() {
	defer close(l.done)
	for {
		<-l.hand
		l.mu.Lock()
		var turn func()
		if len(l.turns) > 0 {
			turn = l.turns[0]
			l.turns[0] = nil
			l.turns = l.turns[1:]
		}
		l.mu.Unlock()
		if turn != nil {
			turn()
		}
		l.mu.Lock()
		l.active = len(l.turns) > 0
		over := l.stopped && !l.active
		if l.active {
			l.next(l.world.hop(l))
		}
		l.mu.Unlock()
		l.world.loop.baton <- struct{}{}
		if over {
			return
		}
	}
}

// Busy is the time that was charged for.
func (l *lane) Busy() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// Stop ends the lane behind all queued turns.
func (l *lane) Stop() {
	l.mu.Lock()
	l.stopped = true
	if !l.active {
		l.active = true
		l.next(1)
	}
	l.mu.Unlock()
	<-l.done
}

// Stopped is closed when the lane has ended.
func (l *lane) Stopped() <-chan struct{} { return l.done }
