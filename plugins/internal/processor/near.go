package processor

// Near watches where two threads run. The zero value is ready.
type Near struct {
	apart, together int // calls in a row
	patience        int // calls apart until this thread is moved
	off             bool

	own  func() uint32 // nil: those of the system
	move func(uint32) bool
}

const (
	firstPatience = 4
	mostPatience  = 1 << 10
	settled       = 64 // calls together that show that moving helps
)

// Look is told at which place the other thread has run, as Own says it there, and moves the calling thread to it when
// both have been apart for a while. If that does not last, others are in the way, and it waits longer the next time.
func (n *Near) Look(other uint32) {
	if n.off || other == 0 {
		return
	}
	if n.patience == 0 {
		n.patience = firstPatience
		if n.own == nil {
			n.own, n.move = Own, moveTo
		}
	}
	if n.own() == other {
		n.apart = 0
		if n.together++; n.together == settled {
			n.patience = firstPatience
		}
		return
	}
	n.together = 0
	if n.apart++; n.apart < n.patience {
		return
	}
	n.apart, n.patience = 0, min(2*n.patience, mostPatience)
	n.off = !n.move(other)
}
