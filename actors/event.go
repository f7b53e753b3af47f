package actors

import (
	"sync"
	"time"

	"troupe/stages"
)

// The steps of a swap and of what may follow it.
const (
	StepCompile  = "compile"  // the libraries are open, every device has compiled what changes
	StepShadow   = "shadow"   // they run beside those that serve, and are compared: at its begin, and at its end with figures
	StepPromote  = "promote"  // they serve
	StepVerify   = "verify"   // how they do: after 64 batches, then whenever there are four times as many
	StepMismatch = "mismatch" // a library has computed something else than it should
	StepFault    = "fault"    // a library has failed
	StepRestart  = "restart"  // a library that failed has been opened again
	StepRollback = "rollback" // what served before serves again, or still
)

// KernelEvent says what has become of a binding, with the figures that belong to the step.
type KernelEvent struct {
	Time       time.Time
	Step       string
	Generation uint64 // of the batches that it holds for
	Binding    string // that it is about
	Library    string // that it is about, if it is one

	Batches    int // that have run so, in this step
	Compared   int // runs of pieces of the model that were compared
	Experts    int // of those that have the library on trial, how many have been compared
	ExpertsAll int
	Worst      stages.Difference // of all comparisons; of a mismatch the one that counts
	OldNanos   int64             // time of what served, and of what ran beside it, on the same inputs
	NewNanos   int64
	Launches   uint64        // verify: of the libraries of the binding, as what serves
	Share      float64       // verify: of the time spent in kernels since the start, theirs
	Fault      string        // crash, hang, lie, lost, error
	Lost       time.Duration // from the begin of the run that failed to the end of the one that did not
	From, To   uint64        // generations that ran under a library found wrong
	Reason     string
}

// mostEvents bounds what waits for a slow reader (M2).
const mostEvents = 4096

// herald tells events in order on a goroutine of its own, so that nobody waits for who hears them.
type herald struct {
	hear func(KernelEvent)

	mu     sync.Mutex
	queue  []KernelEvent
	wake   chan struct{} // holds one token when queue may have something, closed at the end
	closed bool
	done   chan struct{}
}

func newHerald(hear func(KernelEvent)) *herald {
	h := &herald{hear: hear, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if hear == nil {
		h.closed = true
		close(h.done)
		return h
	}
	go h.run()
	return h
}

func (h *herald) tell(e KernelEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.queue) >= mostEvents {
		return
	}
	e.Time = time.Now()
	h.queue = append(h.queue, e)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *herald) run() {
	defer close(h.done)
	for range h.wake {
		h.mu.Lock()
		events := h.queue
		h.queue = nil
		h.mu.Unlock()
		for _, e := range events {
			h.hear(e)
		}
	}
}

// stop ends the goroutine when all events have been heard.
func (h *herald) stop() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
	h.mu.Unlock()
	<-h.done
}
