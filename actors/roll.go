package actors

import (
	"context"
	"slices"
	"time"

	"troupe/stages"
)

// Company is who computes what, and where, at the moment.
type Company struct {
	Missing     error // why nothing can be computed; nil: all parts are there
	Moving      []Part
	Hosts       []HostStatus
	Devices     []PlaceStatus
	Stages      []SeatStatus
	Away        []Part // experts that do not live with their stage
	CreditsHome int    // batches that may be filled
	CreditsAway int    // batches on their way
	Journal     int64  // bytes, of all boundaries between stages
	Epoch       uint64 // deaths and moves so far
	Generation  uint64 // of kernels
}

// HostStatus is a worker.
type HostStatus struct {
	Address string
	Session uint64        // 0: it is lost
	Lost    error         // why
	Heard   time.Duration // since its last sign of life
	Trip    time.Duration // of the last sign of life, there and back; 0: none yet
}

// PlaceStatus is a device.
type PlaceStatus struct {
	Target  Target
	Name    string
	Threads int
	Memory  int64 // bytes; 0: not stated
	Stages  int
	Experts int
	Busy    time.Duration // of its lane here; of a worker's device what its stages reported
}

// SeatStatus is a stage.
type SeatStatus struct {
	Span   stages.Span
	Device Target
	Inside int           // batches
	Oldest time.Duration // for how long the first of them has been there
	Busy   time.Duration // in kernels
}

// Company asks how things are. A part whose lane is in a long turn is not waited for: what is known of it is told.
func (e *Engine) Company(ctx context.Context) (c Company, err error) {
	s, err := e.Stats(ctx)
	if err != nil {
		return c, err
	}
	k := e.keeper
	k.mu.Lock()
	c.Missing = k.missing
	k.mu.Unlock()
	at := k.whereabouts(ctx, &c)
	generation := make(chan uint64, 1)
	if err := e.binder.urge(ctx, func() { generation <- e.binder.current }); err != nil {
		return c, err
	}
	c.Generation, c.Epoch = <-generation, e.epoch.Load()
	c.CreditsAway, c.CreditsHome = s.Sched.InFlight, s.Credits-s.Sched.InFlight
	for _, j := range e.journals {
		if j != nil {
			c.Journal += stages.JournalBytes(k.options.Model, k.options.Sched.Blocks)
		}
	}
	for _, h := range e.hosts {
		c.Hosts = append(c.Hosts, h.status())
	}
	for i, d := range e.devices {
		p := PlaceStatus{Target: e.targetOf(i), Name: d.Name, Threads: d.Threads, Memory: d.Memory, Busy: d.lane.busy()}
		if d.host != nil {
			p.Busy = 0
		}
		c.Devices = append(c.Devices, p)
	}
	for i, seat := range e.seats {
		device := int(seat.device.Load())
		st := SeatStatus{Span: seat.span, Device: e.targetOf(device), Inside: int(seat.inside.Load()), Busy: time.Duration(seat.busy.Load())}
		if since := seat.since.Load(); since > 0 && st.Inside > 0 {
			st.Oldest = time.Since(epoch) - time.Duration(since)
		}
		c.Stages = append(c.Stages, st)
		if c.Devices[device].Stages++; e.devices[device].host != nil {
			c.Devices[device].Busy += st.Busy
		}
		for p, where := range at {
			if p.Kind == ExpertPart && e.seatOf(p.Index).index == i {
				if c.Devices[where].Experts++; where != device {
					c.Away = append(c.Away, p)
				}
			}
		}
	}
	slices.SortFunc(c.Away, comparePart)
	return c, nil
}

// keeperPatience is how long a look at the company waits for a keeper that is making it complete.
const keeperPatience = 200 * time.Millisecond

// whereabouts is the device of each part, nil when the keeper has no time to say.
func (k *keeper) whereabouts(ctx context.Context, c *Company) (at map[Part]int) {
	ctx, cancel := context.WithTimeout(ctx, keeperPatience)
	defer cancel()
	_ = k.do(ctx, func() error {
		at = k.where()
		if k.moving != nil {
			c.Moving = slices.Clone(k.moving.parts)
		}
		return nil
	})
	return at
}

func (h *host) status() HostStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HostStatus{Address: h.address, Session: h.session, Trip: time.Duration(h.trip.Load())}
	if h.session == 0 {
		s.Lost = h.why
	}
	if heard := h.heard.Load(); heard > 0 {
		s.Heard = time.Since(epoch) - time.Duration(heard)
	}
	return s
}
