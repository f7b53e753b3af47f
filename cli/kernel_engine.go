package main

import (
	"context"
	"strings"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
)

// steeredEngine is a running engine as steering wants it.
type steeredEngine struct{ *actors.Engine }

func (e steeredEngine) swap(ctx context.Context, b kernels.Binding, shadow int) error {
	return e.Swap(ctx, actors.Change{Binding: b, Shadow: shadow})
}

func (e steeredEngine) rollback(ctx context.Context, reason string) error {
	return e.Rollback(ctx, reason)
}

func (e steeredEngine) warm(ctx context.Context, b kernels.Binding) error { return e.Warm(ctx, b) }

func (e steeredEngine) stats(ctx context.Context) (engineStats, error) {
	s, err := e.Stats(ctx)
	return statsOf(s), err
}

func (e steeredEngine) company(ctx context.Context) (actors.Company, error) { return e.Company(ctx) }

func (e steeredEngine) move(ctx context.Context, p actors.Part, to actors.Target) (actors.Moved, error) {
	return e.Move(ctx, p, to)
}

func (e steeredEngine) routing(ctx context.Context) (router.Counters, error) { return e.Routing(ctx) }

func (e steeredEngine) status(ctx context.Context) (kernelStatus, error) {
	s, err := e.Kernels(ctx)
	k := kernelStatus{Generation: s.Generation, Binding: s.Binding, Previous: s.Previous, CanRoll: s.CanGoBack, Libraries: []libraryStatus{}, Suspects: []suspectStatus{}}
	if t := s.Swap; t != nil {
		k.Swap = &swapStatus{Binding: t.Binding, Step: t.Step, Recovery: t.Recovery, Batches: t.Batches, Wanted: t.Wanted, Comparisons: t.Compared,
			Experts: t.ExpertsAll, ExpertsSeen: t.Experts, Worst: differenceOf(t.Worst), OldMicros: microsOf(t.OldNanos, t.Compared), NewMicros: microsOf(t.NewNanos, t.Compared)}
	}
	for _, l := range s.Libraries {
		k.Libraries = append(k.Libraries, libraryStatus{Library: l.Library, PIDs: l.PIDs, Failed: l.Failed, Launches: l.Launches, Rows: l.Rows, Beside: l.Beside,
			Share: l.Share, Comparisons: l.Comparisons, Worst: differenceOf(l.Worst), Faults: l.Faults, Restarts: l.Restarts})
	}
	for _, r := range s.Suspects {
		k.Suspects = append(k.Suspects, suspectStatus(r))
	}
	return k, err
}

// bareReason is why, without what the rest of the event says.
func bareReason(e actors.KernelEvent) string {
	reason := terse(e.Reason)
	for {
		short := reason
		for _, prefix := range []string{"swap to " + e.Binding + ": ", "rolled back: ", e.Library + ": ", e.Fault + ": "} {
			if prefix != ": " {
				short = strings.TrimPrefix(short, prefix)
			}
		}
		if short == reason {
			return reason
		}
		reason = short
	}
}

// terse leaves out of a chain of reasons which packages they have come through, and what is said twice in a row.
func terse(reason string) string {
	var parts []string
	for part := range strings.SplitSeq(reason, ": ") {
		switch part {
		case "actors", "kernels", "stages", "plugins", "layer -1":
			continue
		}
		if n := len(parts); n == 0 || parts[n-1] != part {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// microsOf is a mean.
func microsOf(nanos int64, calls int) float64 {
	if calls == 0 {
		return 0
	}
	return float64(nanos) / float64(calls) / 1e3
}

// eventOf is an engine's event as it is printed.
func eventOf(e actors.KernelEvent) kernelEvent {
	return kernelEvent{Time: e.Time, Step: e.Step, Generation: e.Generation, Binding: e.Binding, Library: e.Library, Batches: e.Batches,
		Comparisons: e.Compared, Experts: e.ExpertsAll, ExpertsSeen: e.Experts, Worst: differenceOf(e.Worst),
		OldMicros: microsOf(e.OldNanos, e.Compared), NewMicros: microsOf(e.NewNanos, e.Compared), Launches: e.Launches, Share: e.Share,
		Fault: e.Fault, LostMillis: float64(e.Lost) / float64(time.Millisecond), From: e.From, To: e.To, Reason: bareReason(e)}
}

// differenceOf is nil where there is none.
func differenceOf(d stages.Difference) *kernelDifference {
	if d == (stages.Difference{}) || d.Relative == 0 && d.Got == d.Want {
		return nil
	}
	return &kernelDifference{Op: d.Op.String(), Layer: d.Layer, Expert: d.Expert, Row: d.Row, Element: d.Element, What: d.What,
		Got: finite(float64(d.Got)), Want: finite(float64(d.Want)), Relative: finite(d.Relative), Text: d.String()}
}
