package actors

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// lane is the one OS thread of a device of this host: every actor that lives there takes its turns on it, in order
// of arrival. One thread per device, not per actor, makes a hop between neighbours a push on a slice
// (0.1 µs) instead of a thread switch (tens of µs), and kernels never meet on a device.
//
// The run queue is unbounded, because a bounded one stops for ever when an actor on the lane fills it;
// what may wait is bounded by the head's credits (M2).
type lane struct {
	mu      sync.Mutex
	work    sync.Cond     // signalled when parked and there is work, or on stop
	queue   []func()      // turns to run
	queued  atomic.Uint32 // len(queue), for the spinning thread to look at
	parked  bool
	stopped bool
	done    chan struct{} // closed when the thread has ended
	loose   bool          // no thread of its own, no looking for work before it parks

	born  time.Time
	idle  atomic.Int64 // nanoseconds without work
	since atomic.Int64 // nanoseconds from born to the beginning of the present idleness; 0: at work
}

var _ actor.Dispatcher = (*lane)(nil)

// laneSpins is how often an idle lane looks for work before it parks: for about 20 µs, as long as waking
// a parked thread takes. A hop between two lanes is 0.5 to 5 µs so, and 20 to 50 without (BenchmarkHop).
const laneSpins = 20_000

func newLane() *lane { return startLane(false) }

// newLooseLane is a lane for a device of another host, where nothing is computed here: any thread may run it, so that
// the goroutine that reads what comes from there hands over its own instead of waking another.
func newLooseLane() *lane { return startLane(true) }

func startLane(loose bool) *lane {
	l := &lane{done: make(chan struct{}), born: time.Now(), loose: loose}
	l.work.L = &l.mu
	go l.run()
	return l
}

// Schedule queues a turn; any goroutine may call it. After stop it does nothing.
func (l *lane) Schedule(turn func()) {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.queue = append(l.queue, turn)
	l.queued.Store(uint32(len(l.queue)))
	wake := l.parked
	l.mu.Unlock()
	if wake {
		l.work.Signal()
	}
}

// Throughput is how many messages a mailbox of the library hands over before it yields its goroutine:
// never here, a mailbox yields the lane after every message.
func (l *lane) Throughput() int { return math.MaxInt }

// do runs f on the lane and waits for it.
func (l *lane) do(f func()) {
	done := make(chan struct{})
	l.Schedule(func() { defer close(done); f() })
	select {
	case <-done:
	case <-l.done: // stopped: f may not have been queued
	}
}

// stop ends the thread after all queued turns.
func (l *lane) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.work.Signal()
	<-l.done
}

func (l *lane) run() {
	if !l.loose {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	}
	debug.SetPanicOnFault(true) // pages of mapped weights may become unreadable: stages make an error of it
	defer close(l.done)
	var turns []func()
	for {
		if turns = l.take(turns[:0]); len(turns) == 0 {
			return
		}
		for i, turn := range turns {
			turns[i] = nil
			turn()
		}
	}
}

// take returns all queued turns, waiting for the first; none means stop. The empty slice becomes the
// next queue, so that the steady state allocates nothing.
func (l *lane) take(empty []func()) []func() {
	if l.queued.Load() == 0 {
		l.await()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	turns := l.queue
	l.queue = empty
	l.queued.Store(0)
	return turns
}

// await returns when there is work or the lane has been stopped: it looks for a while, then it sleeps.
func (l *lane) await() {
	begin := time.Since(l.born)
	l.since.Store(int64(begin))
	defer func() {
		l.idle.Add(int64(time.Since(l.born) - begin))
		l.since.Store(0)
	}()
	if !l.loose {
		for range laneSpins {
			if l.queued.Load() > 0 {
				return
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.stopped {
		l.parked = true
		l.work.Wait()
		l.parked = false
	}
}

// busy is the time spent in turns.
func (l *lane) busy() time.Duration {
	now := time.Since(l.born)
	idle := time.Duration(l.idle.Load())
	if since := l.since.Load(); since > 0 {
		idle += now - time.Duration(since)
	}
	return now - idle
}
