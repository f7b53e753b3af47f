package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
)

func (g *gateActor) Receive(c actor.Context) {
	if _, sent := c.Message().(proto.Message); sent {
		g.alive()
	}
	switch m := c.Message().(type) {
	case *wire.Rows:
		g.visited(m.Slot, m.Epoch, func(v *visit) {
			if err := g.ferry.unload(v.credit, m); err != nil {
				g.end(fmt.Errorf("rows of a batch that cannot be: %w", err))
			}
		})
	case *wire.Pass:
		g.visited(m.Slot, m.Epoch, func(v *visit) {
			if err := g.pass(c, v, m); err != nil {
				g.ferry.send(&wire.Back{Slot: m.Slot, Epoch: m.Epoch, Stage: m.Stage, Error: words(err.Error())})
			}
		})
	case *wire.Work:
		g.visited(m.Slot, m.Epoch, func(v *visit) {
			if err := g.work(c, v, m); err != nil {
				g.ferry.send(&wire.Part{Slot: m.Slot, Epoch: m.Epoch, Layer: m.Layer, Expert: m.Expert, Error: words(err.Error())})
			}
		})
	case *wire.Part:
		if err := g.ferry.result(c, m); err != nil {
			g.end(fmt.Errorf("part of an expert that cannot be: %w", err))
		}
	case *drawn:
		g.back(m.credit)
	case *failed:
		g.back(m.credit)
	case *part:
		g.answer(m)
	}
}

// visited does something with a slot, unless the message is of an earlier epoch. With the first one of a later epoch
// that one begins.
func (g *gateActor) visited(slot uint32, epoch uint64, f func(*visit)) {
	now := g.crew.epoch.Load()
	switch {
	case epoch < now:
	case int(slot) >= len(g.slots):
		g.end(fmt.Errorf("batch in slot %d, want 0 to %d", slot, len(g.slots)-1))
	default:
		if epoch > now {
			g.begin(epoch)
		}
		f(g.slots[slot])
	}
}

// begin begins an epoch: what is of earlier ones is dropped.
func (g *gateActor) begin(epoch uint64) {
	g.crew.epoch.Store(epoch)
	for _, st := range g.stages {
		st.actor.forget()
	}
	clear(g.ferry.asked)
	for _, v := range g.slots {
		g.land(v, false)
		v.stage, v.working = nil, 0
		v.credit = v.again() // messages of the old one may still come
		v.credit.epoch = epoch
	}
}

// land has a batch that has departed for kernels be home.
func (g *gateActor) land(v *visit, results bool) {
	if v.stage != nil || v.working > 0 {
		g.crew.binder.ledger.land(v.batch.Generation, results)
	}
}

// pass takes a batch in and hands it to a stage.
func (g *gateActor) pass(c actor.Context, v *visit, m *wire.Pass) error {
	st := g.stages[int(m.Stage)]
	switch {
	case st == nil:
		return fmt.Errorf("stage %d is not here", m.Stage)
	case v.stage != nil || v.working > 0:
		return fmt.Errorf("slot %d has a batch at work", m.Slot)
	}
	if err := g.ferry.take(v.credit, m, g.policies, g.crew.blocks); err != nil {
		return err
	}
	v.stage, v.observe, v.trace, v.at, v.busy = st, m.Observe, m.Trace, time.Since(epoch), st.actor.busy.Load()
	v.turns = nil
	v.batch.Generation = g.crew.binder.ledger.depart()
	c.Send(st.pid, v.leave(m.Epoch, c.Self()))
	return nil
}

// back sends a batch back that has passed its stage, or failed there.
func (g *gateActor) back(b *credit) {
	v := g.slots[b.slot]
	if b.stale() || v.credit != b || v.stage == nil {
		return
	}
	st := v.stage.actor
	g.land(v, b.err == nil)
	v.stage = nil
	g.ferry.back(b, st.index, st.span, &wire.Back{Turns: v.turns, Busy: st.busy.Load() - v.busy, Inside: int64(time.Since(epoch) - v.at)})
	clear(b.batch.Drawn) // they may hold logits
}

// observe notes what a router has chosen, if it is wanted.
func (g *gateActor) observe(b *credit) {
	if v := g.slots[b.slot]; v.credit == b && v.observe && v.stage != nil {
		g.ferry.routed(b, v.stage.actor.index, b.layer)
	}
}

// turn notes a turn of a stage or an expert for the batch that it was about, if it is wanted.
func (g *gateActor) turn(t Turn) {
	for _, v := range g.slots {
		if v.stage != nil && v.trace && v.batch.ID == t.Batch {
			v.turns = append(v.turns, &wire.Turn{Layer: int32(t.Layer), Expert: int32(t.Expert), Rows: uint32(t.Rows), Begin: int64(t.Begin - v.at), End: int64(t.End - v.at)})
		}
	}
}

// work has an expert compute for a stage that is elsewhere.
func (g *gateActor) work(c actor.Context, v *visit, m *wire.Work) error {
	to := g.living[expertKey{int(m.Layer), int(m.Expert)}]
	switch {
	case to == nil:
		return fmt.Errorf("expert %d of layer %d is not here", m.Expert, m.Layer)
	case v.stage != nil:
		return fmt.Errorf("slot %d has a batch at a stage", m.Slot)
	case v.working > 0 && v.batch.ID != m.Batch:
		return errors.New("experts are at work for another batch")
	}
	if v.working == 0 {
		if err := v.batch.Lend(m.Batch, int(m.RowsOfBatch)); err != nil {
			return err
		}
		v.batch.Generation = g.crew.binder.ledger.depart()
		v.leave(m.Epoch, c.Self())
		v.working++
		if err := g.ferry.work(c, v.credit, m, to); err != nil {
			g.land(v, false)
			v.working--
			return err
		}
		return nil
	}
	if err := g.ferry.work(c, v.credit, m, to); err != nil {
		return err
	}
	v.working++
	return nil
}

// answer sends what an expert has computed for a stage elsewhere.
func (g *gateActor) answer(p *part) {
	v := g.slots[p.slot]
	if p.stale() || v.credit != p.credit || v.working == 0 {
		return
	}
	if v.working == 1 {
		g.land(v, true)
	}
	v.working--
	g.ferry.answer(p)
}
