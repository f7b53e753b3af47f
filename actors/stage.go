package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages"
)

// stageActor carries a stages.Stage. While a batch is away at its experts the stage is free for others.
//
// Batches keep their order: a batch runs segment i only after every earlier batch has run it, because a
// later batch may hold the next chunk of the same prompt and reads the keys and values that an earlier
// one writes. Where nothing runs beside the lane they pass the stage one by one: if they took turns, all would
// leave it late together, and the stages behind it would idle, and then have all of them at once.
type stageActor struct {
	*seat
	stage  *stages.Stage
	router *actor.PID

	inside []*credit // in order of arrival
	// alone tells that all experts of the span are on the stage's own lane: while a batch is away at them there is nothing
	// else for the lane to do that would not hold it up.
	alone bool
	at    *credit // runs now
}

func (s *stageActor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *pass:
		if m.stale() {
			return
		}
		m.segment, m.away = 0, false
		s.inside = append(s.inside, m.credit)
		s.enter(m.credit)
		s.advance(c)
	case *answer:
		if m.stale() {
			return
		}
		m.away = false
		if m.err != nil {
			s.fail(c, m.credit)
		}
		s.advance(c)
	}
}

// advance runs what may run. Mostly that is the batch that the message was about; more become ready when
// a batch that held up its successors moves on.
func (s *stageActor) advance(c actor.Context) {
	for i := 0; i < len(s.inside); {
		b := s.inside[i]
		if b.away || i > 0 && (s.alone || s.inside[i-1].segment <= b.segment) {
			i++
			continue
		}
		s.run(c, b)
		if i < len(s.inside) && s.inside[i] == b { // still inside: away at its experts
			i++
		}
	}
}

// epoch is where busy time is counted from: reading the clock as a distance costs half of time.Now.
var epoch = time.Now()

// run takes a batch through its next segment and sends it on.
func (s *stageActor) run(c actor.Context, b *credit) {
	s.at = b
	begin := time.Since(epoch)
	layer, done, err := s.stage.Advance(b.batch)
	end := time.Since(epoch)
	s.busy.Add(int64(end - begin))
	if s.trace != nil {
		s.trace(Turn{Device: int(s.device.Load()), Stage: s.index, Layer: s.span.Lo + b.segment, Expert: -1,
			Batch: b.batch.ID, Rows: b.batch.Frame.Rows.N, Begin: begin, End: end})
	}
	switch {
	case err != nil:
		b.err = err
		s.fail(c, b)
	case !done:
		b.segment++
		b.away, b.layer, b.from.stage = true, layer, c.Self()
		c.Send(s.router, &b.ask)
	default:
		s.remove(b)
		s.passOn(c, b)
	}
	s.at = nil
}

func (s *stageActor) fail(c actor.Context, b *credit) {
	s.remove(b)
	c.Send(b.home, &b.failed)
}

// forget drops all batches; the head sends them again.
func (s *stageActor) forget() {
	clear(s.inside)
	s.inside, s.at = s.inside[:0], nil
	s.seat.inside.Store(0)
}

func (s *stageActor) remove(b *credit) {
	i := slices.Index(s.inside, b)
	s.inside = slices.Delete(s.inside, i, i+1)
	s.exit()
}
