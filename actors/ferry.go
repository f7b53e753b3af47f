package actors

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/kernels"
	"troupe/model"
)

// ferry carries values of batches, and work of experts, to the other side and back. It is of one lane.
type ferry struct {
	config model.Config
	plan   model.Plan
	send   func(proto.Message) // to the other side
	// asked are batches with work at experts of the other side, by slot.
	asked map[uint32]*errand
	list  []int32 // room for numbers of rows
}

// errand is what experts of the other side are to compute for a batch.
type errand struct {
	*credit
	out  []bool // [experts] have not answered
	left int    // of these
}

// errand is the one of a slot, nil where nothing is out in that epoch: whatever comes then has no place to go to.
func (f *ferry) errand(slot uint32, epoch uint64) *errand {
	if e := f.asked[slot]; e != nil && e.left > 0 && e.epoch == epoch && !e.stale() {
		return e
	}
	return nil
}

func newFerry(c model.Config, plan model.Plan, send func(proto.Message)) ferry {
	return ferry{config: c, plan: plan, send: send, asked: map[uint32]*errand{}}
}

func (f *ferry) slotOf(field wire.Field) (kernels.Slot, error) {
	switch field {
	case wire.Field_HIDDEN:
		return f.plan.Hidden, nil
	case wire.Field_INPUT:
		return f.plan.ExpertInput, nil
	case wire.Field_OUTPUT:
		return f.plan.Parts, nil
	case wire.Field_LOGITS:
		return f.plan.Logits, nil
	}
	return 0, fmt.Errorf("field %d of a batch, want 0 to %d", field, wire.Field_LOGITS)
}

// load sends rows of a field ahead in pieces; the last piece is returned, to go with the message itself.
func (f *ferry) load(b *credit, field wire.Field, rows []int32) *wire.Rows {
	slot, _ := f.slotOf(field)
	width := b.batch.Width(slot)
	each := max(1, wire.Piece/(4*width))
	for {
		n := min(each, len(rows))
		m := &wire.Rows{Slot: uint32(b.slot), Epoch: b.epoch, Field: field, Rows: append([]int32(nil), rows[:n]...), Values: wire.Room(4 * width * n)[:0]}
		for _, r := range rows[:n] {
			m.Values = wire.Append(m.Values, b.batch.Row(slot, int(r)))
		}
		if rows = rows[n:]; len(rows) == 0 {
			return m
		}
		f.send(m)
	}
}

// all lists the numbers below n.
func (f *ferry) all(n int) []int32 {
	for i := len(f.list); i < n; i++ {
		f.list = append(f.list, int32(i))
	}
	return f.list[:n]
}

// unload puts rows into a batch.
func (f *ferry) unload(b *credit, m *wire.Rows) error {
	if m == nil {
		return nil
	}
	slot, err := f.slotOf(m.Field)
	if err != nil {
		return err
	}
	width := b.batch.Width(slot)
	if len(m.Values) != 4*width*len(m.Rows) {
		return fmt.Errorf("%d bytes for %d rows of %d values", len(m.Values), len(m.Rows), width)
	}
	for i, r := range m.Rows {
		to := b.batch.Row(slot, int(r))
		if to == nil {
			return fmt.Errorf("row %d of %v: the batch has fewer", r, m.Field)
		}
		from := m.Values[4*width*i : 4*width*(i+1)]
		if wire.Same(to, from) {
			continue // two experts of the row, and the other one may be reading it
		}
		if err := wire.Take(to, from); err != nil {
			return err
		}
	}
	wire.Free(m)
	return nil
}

// ask has an expert of the other side compute.
func (f *ferry) ask(w *work, layer, expert int) {
	b := w.credit
	e := f.asked[uint32(b.slot)]
	if e == nil || e.credit != b {
		e = &errand{credit: b, out: make([]bool, len(b.part))}
		f.asked[uint32(b.slot)] = e
	}
	e.out[expert] = true
	e.left++
	rest := f.load(b, wire.Field_INPUT, w.rows.Row)
	f.send(&wire.Work{Slot: uint32(b.slot), Epoch: b.epoch, Layer: uint32(layer), Expert: uint32(expert), Batch: b.batch.ID,
		RowsOfBatch: uint32(b.batch.Frame.Rows.N), Row: append([]int32(nil), w.rows.Row...), Dst: append([]int32(nil), w.rows.Dst...), Rest: rest})
}

// result takes what an expert of the other side has computed.
func (f *ferry) result(c actor.Context, m *wire.Part) error {
	b := f.errand(m.Slot, m.Epoch)
	switch {
	case b == nil:
		return nil
	case int(m.Expert) >= len(b.part):
		return fmt.Errorf("part of expert %d: there are %d", m.Expert, len(b.part))
	case !b.out[m.Expert] || int(m.Layer) != b.layer:
		return fmt.Errorf("part of expert %d of layer %d, which has nothing to do", m.Expert, m.Layer)
	}
	p := &b.part[m.Expert]
	if m.Error != "" {
		p.err = errors.New(said(m.Error))
	} else if err := f.unload(b.credit, m.Rest); err != nil {
		return err
	}
	b.out[m.Expert] = false
	b.left--
	c.Send(b.from.router, p)
	return nil
}

// work has an expert of this side compute for the other; its part comes to the actor at hand.
func (f *ferry) work(c actor.Context, b *credit, m *wire.Work, to *actor.PID) error {
	if int(m.Expert) >= len(b.work) || int(m.Layer) >= f.config.Model.NumLayers {
		return fmt.Errorf("work of expert %d of layer %d: there are none", m.Expert, m.Layer)
	}
	if err := f.unload(b, m.Rest); err != nil {
		return err
	}
	w := &b.work[m.Expert]
	w.rows = kernels.Work{Row: m.Row, Dst: m.Dst}
	if err := b.batch.CheckWork(w.rows); err != nil {
		return err
	}
	if self := c.Self(); b.from.router != self || b.layer != int(m.Layer) { // other experts of the layer may be at work
		b.layer, b.from.router = int(m.Layer), self
	}
	c.Send(to, w)
	return nil
}

// answer sends what an expert of this side has computed for the other.
func (f *ferry) answer(p *part) {
	b, expert := p.credit, p.expert
	m := &wire.Part{Slot: uint32(b.slot), Epoch: b.epoch, Layer: uint32(b.layer), Expert: uint32(expert)}
	if p.err != nil {
		m.Error, p.err = words(p.err.Error()), nil
	} else {
		m.Rest = f.load(b, wire.Field_OUTPUT, b.work[expert].rows.Dst)
	}
	f.send(m)
}

// farExpert stands for an expert that lives on the other side.
type farExpert struct {
	layer, expert int
	ferry         *ferry
}

func (x *farExpert) Receive(c actor.Context) {
	if m, ok := c.Message().(*work); ok && !m.stale() {
		x.ferry.ask(m, x.layer, x.expert)
	}
}
