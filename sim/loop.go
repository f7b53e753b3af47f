package sim

import (
	"container/heap"
	"sync"
	"time"
)

// Loop runs events one after the other, in order of virtual time.
type Loop struct {
	seed  uint64
	jumps bool // time is what the next event says; else that of the time package
	born  time.Time
	baton chan struct{} // comes back from a lane that has had its say

	mu     sync.Mutex
	queue  queue
	now    time.Duration // of the last event
	events uint64        // that have been run
	wake   chan struct{} // holds one token when the queue may have something new
	quit   chan struct{}
	done   chan struct{}
}

// event is something that happens at a time.
type event struct {
	at   time.Duration
	rank uint64 // among those of the same time
	run  func()
}

// NewLoop makes a loop that is at time 0. jumps says that nothing but events takes time.
func NewLoop(seed uint64, jumps bool) *Loop {
	return &Loop{seed: seed, jumps: jumps, born: time.Now(), baton: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// Start has a goroutine run events as they come.
func (l *Loop) Start() {
	l.quit, l.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(l.done)
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for l.turn(timer) {
		}
	}()
}

// Stop ends that goroutine behind the event at hand. What is queued stays.
func (l *Loop) Stop() {
	close(l.quit)
	<-l.done
}

// turn runs the next event when its time has come, or waits. It reports whether there may be more.
func (l *Loop) turn(timer *time.Timer) bool {
	select {
	case <-l.quit:
		return false
	default:
	}
	wait, ready := l.step()
	if ready {
		return true
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
	case <-l.wake:
	case <-l.quit:
		return false
	}
	return true
}

// step runs the next event if its time has come; else it says how long that takes.
//
// No two events have the same time: before the clock moves on, whoever was woken by the one has done what it does.
func (l *Loop) step() (wait time.Duration, ran bool) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.mu.Unlock()
		return time.Hour, false
	}
	at := max(l.queue[0].at, l.now+1)
	if !l.jumps {
		if now := time.Since(l.born); now < at {
			l.mu.Unlock()
			return at - now, false
		}
	}
	e := heap.Pop(&l.queue).(event)
	l.now = at
	l.events++
	l.mu.Unlock()
	e.run()
	return 0, true
}

// Now is the virtual time.
func (l *Loop) Now() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock()
}

func (l *Loop) clock() time.Duration {
	if l.jumps {
		return l.now
	}
	return time.Since(l.born)
}

// After has something run later. who and number tell events apart that have the same time: the seed orders them.
func (l *Loop) After(d time.Duration, who, number uint64, run func()) {
	l.mu.Lock()
	at := l.clock() + max(d, 1)
	heap.Push(&l.queue, event{at: at, rank: mix(mix(l.seed+who) + number), run: run})
	first := l.queue[0].at >= at
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// mix is the finalizer of splitmix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// queue is a heap of events, the earliest first.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].rank < q[j].rank
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}
