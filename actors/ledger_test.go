package actors

import "testing"

// Batches that come home before the binder looks for them wake it, too: there may be no others.
func TestWatchAfterTheBatches(t *testing.T) {
	l := newLedger()
	l.bind(1)
	l.land(l.depart(), true)
	l.watch(2)
	select {
	case <-l.wake:
		t.Error("woken after one of two batches")
	default:
	}
	l.watch(1)
	select {
	case <-l.wake:
	default:
		t.Error("one batch is home, and the binder sleeps")
	}
}
