package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
)

// routerActor chooses experts for the batches of one stage and gathers their parts. Parts lie in the batch,
// each in its own place, and op combine adds them in rank order: the order of arrival does not matter.
type routerActor struct {
	probs   kernels.Slot     // where the gate leaves its probabilities
	experts [][]*actor.PID   // [layers][experts]; nil outside the stage's span
	count   *router.Counters // nil: none; it belongs to the lane
	// observed is told of every layer's routing in the place of counters, for who counts elsewhere; nil: nobody.
	observed func(*credit)
	look     stages.Look // may be nil
}

func (r *routerActor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *ask:
		if !m.stale() {
			r.dispatch(c, m.credit)
		}
	case *part:
		if !m.stale() {
			r.gather(c, m.credit)
		}
	}
}

// gather notes a part that has come in.
func (r *routerActor) gather(c actor.Context, b *credit) {
	if b.missing--; b.missing > 0 {
		return
	}
	if b.err = b.partError(); b.err == nil && r.look != nil && !b.replay && b.layer >= b.looked {
		r.look(b.layer, b.batch)
		b.looked = b.layer + 1
	}
	c.Send(b.from.stage, &b.answer)
}

func (r *routerActor) dispatch(c actor.Context, b *credit) {
	groups, err := b.batch.Route(r.probs, b.layer)
	if err != nil {
		b.err = err
		c.Send(b.from.stage, &b.answer)
		return
	}
	b.missing = len(groups)
	b.from.router = c.Self()
	for _, g := range groups {
		w := &b.work[g.Expert]
		w.rows = stages.WorkOf(g)
		c.Send(r.experts[b.layer][g.Expert], w)
	}
	r.observe(b) // experts of other devices are at work
}

// observe counts and records a layer's routing. What is computed again is recorded again, but not counted.
func (r *routerActor) observe(b *credit) {
	switch {
	case b.replay:
	case r.observed != nil:
		r.observed(b)
	case b.layer < b.counted:
		b.batch.Observe(r.probs, b.layer, nil)
	default:
		b.batch.Observe(r.probs, b.layer, r.count)
		b.counted = b.layer + 1
	}
}
