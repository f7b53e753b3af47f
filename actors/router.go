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
	look    stages.Look      // may be nil
}

func (r *routerActor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *ask:
		r.dispatch(c, m.credit)
	case *part:
		b := m.credit
		if b.missing--; b.missing == 0 {
			if b.err = b.partError(); b.err == nil && r.look != nil {
				r.look(b.layer, b.batch)
			}
			c.Send(b.from.stage, &b.answer)
		}
	}
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
	b.batch.Observe(r.probs, b.layer, r.count) // experts of other devices are at work
}
