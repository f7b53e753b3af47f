package actors

import (
	"context"
	"slices"

	"troupe/kernels"
	"troupe/stages"
)

// KernelStatus is how things are with bindings and libraries.
type KernelStatus struct {
	Generation uint64
	Binding    string // in force; "": the best library for everything
	Previous   string // what a roll-back returns to
	CanGoBack  bool   // there is such a binding
	Swap       *SwapStatus
	Libraries  []LibraryStatus // that are in use, or have failed, by name
	Suspects   []Suspect
}

// SwapStatus is a swap, or the return of a library that failed, under way.
type SwapStatus struct {
	Step       string // compile: libraries are being opened; shadow; restart: it waits to be opened again
	Binding    string
	Batches    int // that have come home
	Wanted     int
	Compared   int
	Experts    int // compared, of those that have a library on trial
	ExpertsAll int
	Worst      stages.Difference
	OldNanos   int64 // on the same inputs: what serves, and what is on trial
	NewNanos   int64
	Recovery   bool // the return of a library that failed
}

// LibraryStatus is what a library has done on all devices since the start.
type LibraryStatus struct {
	Library     string
	PIDs        []int  // of its processes
	Failed      bool   // it is left alone
	Launches    uint64 // of pieces of the model whose outputs went on
	Rows        uint64
	Beside      uint64  // launches to compare
	Share       float64 // of the time in kernels whose outputs went on, as sampled
	Nanos       int64   // that time, of one batch in 16 and of every batch while something is on trial
	Comparisons uint64
	Worst       stages.Difference
	Faults      int
	Restarts    int
}

// Kernels asks how things are with bindings and libraries.
func (e *Engine) Kernels(ctx context.Context) (KernelStatus, error) {
	reply := make(chan KernelStatus, 1)
	if err := e.binder.urge(ctx, func() { reply <- e.binder.status() }); err != nil {
		return KernelStatus{}, err
	}
	select {
	case s := <-reply:
		return s, nil
	case <-ctx.Done():
		return KernelStatus{}, context.Cause(ctx)
	}
}

// counters are those of all devices.
func (b *binder) counters() []stages.Counters {
	each := make([][]stages.Counters, len(b.engine.rooms.all()))
	b.lanes(func(r *room) { each[r.index] = r.libs.Programs().Counters() })
	return slices.Concat(each...)
}

func (b *binder) status() KernelStatus {
	s := KernelStatus{Generation: b.current, Binding: b.serve.String(), CanGoBack: b.back != nil, Suspects: b.suspects.list()}
	if b.back != nil {
		s.Previous = b.back.String()
	}
	switch t := b.trial; {
	case t != nil:
		tally := b.tally()
		step := StepShadow
		if !t.bound {
			step = StepCompile
		}
		s.Swap = &SwapStatus{Step: step, Binding: t.asked, Batches: b.ledger.home(), Wanted: t.batches, Compared: tally.Comparisons,
			Experts: tally.ExpertsSeen, ExpertsAll: t.experts, Worst: tally.Worst, OldNanos: tally.Old, NewNanos: tally.New, Recovery: t.done == nil}
	case b.recovery != nil:
		s.Swap = &SwapStatus{Step: StepRestart, Binding: b.recovery.asked, Wanted: 1, Recovery: true}
	}
	s.Libraries = b.libraries()
	return s
}

func (b *binder) libraries() (all []LibraryStatus) {
	var total int64
	for _, c := range b.counters() {
		i := slices.IndexFunc(all, func(l LibraryStatus) bool { return l.Library == c.Library })
		if i < 0 {
			i, all = len(all), append(all, LibraryStatus{Library: c.Library})
			if r := b.records[c.Library]; r != nil {
				all[i].Faults, all[i].Restarts = r.faults, r.restarts
			}
		}
		l := &all[i]
		if c.PID != 0 {
			l.PIDs = append(l.PIDs, c.PID)
		}
		l.Failed = l.Failed || c.Failed
		l.Launches, l.Rows, l.Beside = l.Launches+c.Launches, l.Rows+c.Rows, l.Beside+c.Beside
		l.Nanos, l.Comparisons = l.Nanos+c.Nanos, l.Comparisons+c.Comparisons
		if c.Worst.Relative > l.Worst.Relative {
			l.Worst = c.Worst
		}
		total += c.Nanos
	}
	for name, r := range b.records { // those that are out of use as well
		if !slices.ContainsFunc(all, func(l LibraryStatus) bool { return l.Library == name }) {
			all = append(all, LibraryStatus{Library: name, Failed: true, Faults: r.faults, Restarts: r.restarts})
		}
	}
	for i := range all {
		if total > 0 {
			all[i].Share = float64(all[i].Nanos) / float64(total)
		}
	}
	slices.SortFunc(all, func(x, y LibraryStatus) int {
		if x.Library < y.Library {
			return -1
		}
		return 1
	})
	return all
}

// warmed is a binding compiled for a swap to come.
type warmed struct {
	binding string
	generation
}

// mostWarm bounds how many bindings are kept ready; the oldest goes.
const mostWarm = 16

func (b *binder) warm(k kernels.Binding) error {
	if b.engine.over() {
		return b.engine.reason
	}
	b.cool(k.String())
	g, err := b.compile(stages.Bindings{Serve: b.serve.With(k)})
	if err != nil {
		return err
	}
	if len(b.warmed) == mostWarm {
		b.cool(b.warmed[0].binding)
	}
	b.warmed = append(b.warmed, warmed{k.String(), g})
	return nil
}

// cool lets go of a binding that was kept ready.
func (b *binder) cool(binding string) {
	if i := slices.IndexFunc(b.warmed, func(w warmed) bool { return w.binding == binding }); i >= 0 {
		b.release(b.warmed[i].generation)
		b.warmed = slices.Delete(b.warmed, i, i+1)
	}
}
