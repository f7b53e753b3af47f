package stages

import (
	"fmt"

	"troupe/kernels"
)

// Role is what a library was doing when something happened to it.
type Role uint8

// Serving computes what goes on; Standby is behind it, or verifies it; Trial is what may come to serve.
const (
	Serving Role = iota
	Standby
	Trial
)

// Report is news of a library from the lane of a device, for whoever decides on bindings.
type Report struct {
	Library    string
	Role       Role
	Generation uint64
	Batch      uint64
	// Err is why its kernel failed; nil: it computed something else than it should (Difference). It may be a
	// *kernels.Fault.
	Err        error
	Difference Difference
	// Rescued is who ran the calls again; "": nobody could, and the batch has failed, or none was needed.
	Rescued string
	Lost    int64 // nanoseconds from the begin of the run that failed to the end of the one that did not

	library *library
}

// Wrong tells that a library has computed something else than it should, in what went on.
func (r *Report) Wrong() bool { return r.Role == Serving && r.Err == nil }

// Difference is where a library is furthest from what it should have computed.
type Difference struct {
	Op      kernels.Op
	Layer   int    // -1: outside the layers
	Expert  int    // -1: none
	Row     int    // of the batch
	Element int    // of the row; of an op with several outputs, within one of them
	What    string // "output", "keys", "values"
	Got     float32
	Want    float32
	// Relative is the distance as a part of the largest magnitude of the same output; infinite where one of both
	// is not finite.
	Relative float64
}

func (d Difference) String() string {
	if d.What == "" {
		return "no difference"
	}
	where := d.Op.String()
	if d.Layer >= 0 {
		where += fmt.Sprintf(" layer %d", d.Layer)
	}
	if d.Expert >= 0 {
		where += fmt.Sprintf(" expert %d", d.Expert)
	}
	if d.What != "output" {
		where += " " + d.What
	}
	return fmt.Sprintf("%s row %d element %d: got %v, want %v", where, d.Row, d.Element, d.Got, d.Want)
}

// Tally is what comparing has shown in one generation.
type Tally struct {
	Pieces      int // that have a library on trial
	Changed     [kernels.NumOps]bool
	Compared    [kernels.NumOps]int
	Comparisons int   // of pieces, on trial or verified
	Experts     int   // that have a library on trial
	ExpertsSeen int   // of these, compared
	Old, New    int64 // nanoseconds on the same inputs: what served, what ran beside it
	Worst       Difference
	Failed      bool // nothing more is compared
}

// Add adds the tally of another device.
func (t *Tally) Add(other Tally) {
	for op := range t.Changed {
		t.Changed[op] = t.Changed[op] || other.Changed[op]
		t.Compared[op] += other.Compared[op]
	}
	t.Pieces += other.Pieces
	t.Comparisons += other.Comparisons
	t.Experts += other.Experts
	t.ExpertsSeen += other.ExpertsSeen
	t.Old += other.Old
	t.New += other.New
	t.Failed = t.Failed || other.Failed
	if other.Worst.Relative > t.Worst.Relative {
		t.Worst = other.Worst
	}
}

// Covered tells whether every op that changed has been compared once at least.
func (t *Tally) Covered() bool {
	for op, changed := range t.Changed {
		if changed && t.Compared[op] == 0 {
			return false
		}
	}
	return true
}

// Counters are what a library has done on one device.
type Counters struct {
	Library     string
	PID         int    // of its process; 0: this one
	Failed      bool   // it has failed, and is left alone
	Launches    uint64 // of pieces whose outputs went on
	Rows        uint64 // in these
	Beside      uint64 // launches to compare
	Timed       uint64 // launches of the first kind that were timed
	Nanos       int64  // in these
	Comparisons uint64
	Worst       Difference
}
