package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// expertActor carries one expert of one layer; the kernels of all experts of a device are in one
// stages.Experts. An actor costs 1.2 KB, so each expert has its own: it has a name and a home, and can be
// moved, watched and rebuilt by itself.
type expertActor struct {
	layer, expert int
	on            *room
	device        int
	trace         Trace // may be nil
}

func (x *expertActor) Receive(c actor.Context) {
	m, ok := c.Message().(*work)
	if !ok || m.stale() {
		return
	}
	b, p := m.credit, &m.part[x.expert]
	var begin time.Duration
	if x.trace != nil {
		begin = time.Since(epoch)
	}
	p.err = x.on.experts.Run(b.batch, x.layer, x.expert, m.rows)
	if x.trace != nil {
		x.trace(Turn{Device: x.device, Stage: -1, Layer: x.layer, Expert: x.expert,
			Batch: b.batch.ID, Rows: len(m.rows.Row), Begin: begin, End: time.Since(epoch)})
	}
	c.Send(b.from.router, p)
}
