package actors

import (
	"context"
	"time"

	"troupe/stages"
	"troupe/stages/sched"
)

// Stats is a look at a running engine.
type Stats struct {
	Sched   sched.Stats // requests, batches, rows, tokens, cache blocks
	Credits int         // batches that may be in flight
	Stages  []StageStats
	Devices []DeviceStats
	Losses  Losses // sums alone
}

// StageStats is what one stage has done.
type StageStats struct {
	Span   stages.Span
	Device int
	Busy   time.Duration // in its kernels and draws; experts' are not counted
}

// DeviceStats is what the lane of one device has done, for all who live there.
type DeviceStats struct {
	Name string
	Busy time.Duration // at work, not waiting for messages
}

// Stats asks the head how things are.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	if e.over() {
		return Stats{}, e.reason
	}
	reply := make(chan Stats, 1)
	e.tell(&inquire{reply})
	select {
	case s := <-reply:
		return s, nil
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	case <-e.ended:
		return Stats{}, e.reason
	}
}

func (h *headActor) stats() Stats {
	s := Stats{Sched: h.sched.Stats(), Credits: h.credits, Losses: h.engine.keeper.chronicle.sums()}
	for _, st := range h.engine.seats {
		s.Stages = append(s.Stages, StageStats{Span: st.span, Device: int(st.device.Load()), Busy: time.Duration(st.busy.Load())})
	}
	for _, d := range h.engine.devices {
		s.Devices = append(s.Devices, DeviceStats{Name: d.Device.String(), Busy: d.lane.busy()})
	}
	return s
}
