package actors

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
	"troupe/router"
)

// troop is the head's side of a crew: parts that a worker has opened together on one of its devices.
type troop struct {
	host    *host
	session uint64
	data    *stream.Conn // of the session; nil: over the link
	number  uint32
	device  int        // of the engine
	gate    *actor.PID // the crew's
	post    *actor.PID
	ferry   ferry // of the lane of the device
	actor   *postActor
}

// shut is the wish that the worker closes the crew.
func (t *troop) shut(number uint64) proto.Message {
	return &wire.Shut{Session: t.session, Number: number, Crew: t.number}
}

// farStage stands for a stage that lives on a worker.
type farStage struct {
	*seat
	troop *troop
	count *router.Counters // nil: none; of the lane
	away  []departed       // batches, oldest first
}

type departed struct {
	*credit
	at time.Duration // since epoch
}

func (s *farStage) Receive(c actor.Context) {
	m, ok := c.Message().(*pass)
	if !ok || m.stale() {
		return
	}
	s.enter(m.credit)
	m.batch.Open() // now, as experts here may compute for it on several lanes at a time
	s.away = append(s.away, departed{m.credit, time.Since(epoch)})
	observe := !m.replay && (s.count != nil || m.batch.Traced())
	s.troop.ferry.pass(m.credit, s.index, s.span, observe, s.trace != nil)
}

func (s *farStage) forget() {
	clear(s.away)
	s.away = s.away[:0]
	s.inside.Store(0)
}

// find is the place of the batch in a slot, -1 when it is not at the stage.
func (s *farStage) find(slot uint32, epoch uint64) int {
	return slices.IndexFunc(s.away, func(d departed) bool { return uint32(d.slot) == slot && d.epoch == epoch && !d.stale() })
}

// postActor takes what a crew says of batches, on the lane of its device.
type postActor struct {
	troop  *troop
	engine *Engine
	stages map[uint32]*farStage
}

func (p *postActor) Receive(c actor.Context) {
	var err error
	t := p.troop
	switch m := p.message(c).(type) {
	case *wire.Rows:
		if b := p.holder(m.Slot, m.Epoch, m.Field); b != nil {
			err = t.ferry.unload(b, m)
		}
	case *wire.Back:
		if s := p.stages[m.Stage]; s != nil {
			if i := s.find(m.Slot, m.Epoch); i >= 0 {
				err = p.back(c, s, i, m)
			}
		}
	case *wire.Routed:
		if s := p.stages[m.Stage]; s != nil {
			if i := s.find(m.Slot, m.Epoch); i >= 0 {
				err = p.routed(s, s.away[i].credit, m)
			}
		}
	case *wire.Part:
		err = t.ferry.result(c, m)
	case *wire.Work: // of a stage there, for an expert that is not
		if s, b := p.at(m.Slot, m.Epoch); b != nil {
			err = p.work(c, s, b, m)
		}
	case *part:
		if !m.stale() {
			t.ferry.answer(m)
		}
	case *wire.Died:
		p.died(m)
	}
	if err != nil {
		t.host.lost(t.session, fmt.Errorf("it sends what cannot be: %w", err))
	}
}

// message is the one at hand; nil for one that is lost or late on purpose.
func (p *postActor) message(c actor.Context) any {
	if m, ours := c.Message().(*part); ours {
		return m
	}
	h := p.troop.host
	m := h.net.arrived(h.address, c)
	if _, sent := m.(proto.Message); sent && h.now() == p.troop.session {
		h.alive() // signs of their own may wait behind much else
	}
	return m
}

// holder is the batch that rows of a field belong to.
func (p *postActor) holder(slot uint32, epoch uint64, field wire.Field) *credit {
	if field == wire.Field_OUTPUT {
		if b := p.troop.ferry.errand(slot, epoch); b != nil {
			return b.credit
		}
		return nil
	}
	_, b := p.at(slot, epoch)
	return b
}

// at is the stage of the crew that the batch in a slot is at; nil: none.
func (p *postActor) at(slot uint32, epoch uint64) (*farStage, *credit) {
	for _, s := range p.stages {
		if i := s.find(slot, epoch); i >= 0 {
			return s, s.away[i].credit
		}
	}
	return nil, nil
}

// work hands on what a stage of the crew asks of an expert elsewhere.
func (p *postActor) work(c actor.Context, s *farStage, b *credit, m *wire.Work) error {
	k, l := p.engine.keeper, int(m.Layer)
	if l < s.span.Lo || l >= s.span.Hi || int(m.Expert) >= len(k.experts[l]) { // those of other layers are of other lanes
		return fmt.Errorf("work of expert %d of layer %d from the stage with layers %d to %d", m.Expert, l, s.span.Lo, s.span.Hi-1)
	}
	return p.troop.ferry.work(c, b, m, k.experts[m.Layer][m.Expert])
}

// back takes a batch back from the worker.
func (p *postActor) back(c actor.Context, s *farStage, i int, m *wire.Back) error {
	b := s.away[i]
	if err := p.troop.ferry.came(b.credit, s.span, m); err != nil {
		return err
	}
	s.away = slices.Delete(s.away, i, i+1)
	s.exit()
	s.busy.Add(max(0, m.Busy))
	s.turns(b, m)
	if b.err != nil {
		c.Send(b.home, &b.failed)
		return nil
	}
	s.passOn(c, b.credit)
	return nil
}

// routed counts and records the routing of a layer, as the router's actor does it here.
func (p *postActor) routed(s *farStage, b *credit, m *wire.Routed) error {
	whole, err := p.troop.ferry.choices(b, s.span, m)
	if err != nil || !whole {
		return err
	}
	count, layer := s.count, int(m.Layer)
	if layer < b.counted {
		count = nil
	}
	b.batch.Observe(p.troop.ferry.plan.Probs, layer, count)
	b.counted = max(b.counted, layer+1)
	return nil
}

// turns reports the worker's turns. Its clock is another one: what was on the way is taken for equal in both directions.
func (s *farStage) turns(b departed, m *wire.Back) {
	if s.trace == nil {
		return
	}
	now := time.Since(epoch)
	arrived := b.at + max(0, now-b.at-time.Duration(m.Inside))/2
	for _, t := range m.Turns {
		stage := s.index
		if t.GetExpert() >= 0 {
			stage = -1
		}
		s.trace(Turn{Device: int(s.device.Load()), Stage: stage, Layer: int(t.GetLayer()), Expert: int(t.GetExpert()), Batch: b.batch.ID, Rows: int(t.GetRows()),
			Begin: arrived + time.Duration(t.GetBegin()), End: arrived + time.Duration(t.GetEnd())})
	}
}

// died tells the keeper of a part of the crew.
func (p *postActor) died(m *wire.Died) {
	name, k := partOf(m.Part), p.engine.keeper
	if p.troop != k.troopOf(name) {
		return
	}
	// It may be of an earlier epoch: others have died meanwhile, and nobody but this message tells of this one.
	var at *credit
	if m.Slot > 0 {
		at = p.holder(m.Slot-1, m.Epoch, wire.Field_HIDDEN)
	}
	k.hearOf(name, said(m.Reason), m.Killed, at)
}

func partOf(m *wire.PartName) Part {
	return Part{Kind: Kind(min(m.GetKind(), uint32(ExpertPart))), Index: int(m.GetIndex()), Expert: int(m.GetExpert())}
}

func (p Part) wire() *wire.PartName {
	return &wire.PartName{Kind: uint32(p.Kind), Index: uint32(p.Index), Expert: uint32(p.Expert)}
}

// recruit has a worker open parts on the device. They are not in their places yet.
func (e *Engine) recruit(ctx context.Context, device int, parts []Part) (*troop, error) {
	d, o := e.devices[device], e.keeper.options
	t := &troop{host: d.host, number: e.troops.Add(1), device: device}
	if _, err := d.host.offer(d.Number); err != nil {
		return nil, err
	}
	t.session, t.data = d.host.present()
	t.gate = d.host.net.pid(d.Host, gateName(t.session, t.number))
	t.ferry = newFerry(o.Model, e.plan, func(m proto.Message) { d.host.net.carry(t.data, t.number, t.gate, m) })
	t.actor = &postActor{troop: t, engine: e, stages: map[uint32]*farStage{}}
	name := postName(t.number, t.session)
	var err error
	if t.post, err = e.spawn(o.Net.name(name), t.actor, d.lane, func(reason any, stack []byte, _ any) { e.panicked("post", reason, stack) }); err != nil {
		return nil, err
	}
	open := &wire.Open{Crew: t.number, Device: uint32(d.Number), Post: name, Arith: o.Arith.String(), Binding: o.Binding.String(),
		Verify: max(-1, min(1, o.VerifyFraction)), Batches: uint32(o.Sched.Batches), Blocks: uint32(o.Sched.Blocks), Epoch: e.epoch.Load()}
	l := o.Sched.Limits()
	open.Rows, open.Draws, open.Sequences, open.Experts = uint32(l.Rows), uint32(l.Draws), uint32(l.Sequences), uint32(l.Experts)
	for _, p := range parts {
		switch p.Kind {
		case StagePart:
			span := e.seats[p.Index].span
			open.Stages = append(open.Stages, &wire.Span{Stage: uint32(p.Index), Lo: uint32(span.Lo), Hi: uint32(span.Hi)})
		case ExpertPart:
			open.Homes = append(open.Homes, &wire.Home{Layer: uint32(p.Index), Experts: []uint32{uint32(p.Expert)}})
		}
	}
	err = d.host.ask(ctx, t.session, func(number uint64) proto.Message {
		open.Session, open.Number = t.session, number
		return open
	})
	if err != nil {
		e.dismiss(t.post)
		d.host.tell(t.session, t.shut) // it may be about to open them, if this side has lost patience
		return nil, fmt.Errorf("actors: device %d: %w", device, err)
	}
	return t, nil
}
