package actors

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// stranger is a head that says whatever it is told to.
type stranger struct {
	*company
	session uint64
	replies chan proto.Message
	ferry   ferry
}

func newStranger(t testing.TB, w stages.Weights) *stranger {
	t.Helper()
	system := newSystem()
	t.Cleanup(system.Shutdown)
	s := &stranger{company: &company{config: toy.Config(), net: newLocalNet(system, "head"), w: w}, replies: make(chan proto.Message, 1<<12)}
	s.workers = append(s.workers, s.hire(t, 0))
	for _, name := range []string{"desk-1", "post-1"} {
		props := actor.PropsFromFunc(func(c actor.Context) {
			if m, ok := c.Message().(proto.Message); ok {
				s.replies <- m
			}
		})
		if _, err := system.Root.SpawnNamed(props, s.net.name(name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *stranger) say(name string, m proto.Message) { s.net.send(s.net.pid(address(0), name), m) }

// hear waits for a reply that a function wants.
func (s *stranger) hear(t testing.TB, wanted func(proto.Message) bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case m := <-s.replies:
			if wanted(m) {
				return
			}
		case <-late:
			t.Fatal("no reply")
		}
	}
}

// open begins a session and opens all layers in one crew, with all experts.
func (s *stranger) open(t testing.TB) { s.openWith(t, 0, 1, 2, 3, 4) }

// openWith is open with some of the experts of each layer.
func (s *stranger) openWith(t testing.TB, experts ...uint32) {
	t.Helper()
	c := toy.Config()
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	s.say(doorName, &wire.Hello{Protocol: wire.Protocol, Build: "test", Head: "stranger", Address: s.net.address, Desk: "desk-1", Identity: "toy", Config: config})
	s.hear(t, func(m proto.Message) bool {
		w, ok := m.(*wire.Welcome)
		if ok {
			s.session = w.Session
		}
		return ok
	})
	open := &wire.Open{Session: s.session, Number: 1, Crew: 1, Post: "post-1", Arith: kernels.Int8.String(), Batches: 2, Rows: 8, Draws: 8, Sequences: 4, Experts: 5, Blocks: 8,
		Stages: []*wire.Span{{Stage: 0, Lo: 0, Hi: uint32(c.Model.NumLayers)}}}
	for l := range c.Model.NumLayers {
		open.Homes = append(open.Homes, &wire.Home{Layer: uint32(l), Experts: experts})
	}
	s.say(doorName, open)
	s.hear(t, func(m proto.Message) bool {
		d, ok := m.(*wire.Done)
		if ok && d.Error != "" {
			t.Fatal(d.Error)
		}
		return ok
	})
	s.ferry = newFerry(c, model.NewPlan(c), func(m proto.Message) { s.say(gateName(s.session, 1), m) })
}

// aPass is a batch of three rows, with a draw.
func aPass(epoch uint64) *wire.Pass {
	return &wire.Pass{Slot: 1, Epoch: epoch, Batch: 7, Token: []int32{3, 4, 5}, Pos: []int32{0, 1, 2}, Seq: []int32{0, 0, 0}, First: make([]int32, 3), Keyless: make([]int32, 3),
		Prompt: []bool{true, true, true}, Draw: []int32{2}, Draws: []*wire.Draw{{Kind: uint32(stages.Score), Position: 3, Target: 9}},
		Sequences: []*wire.Sequence{{Table: []int32{4}, Policy: "2"}}, Observe: true, Trace: true}
}

// Whatever a head says, a worker neither panics nor stops: a batch that makes sense is computed afterwards.
func FuzzGate(f *testing.F) {
	seed := func(kind byte, m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, raw)
	}
	values := make([]byte, 4*toy.Config().Model.EmbSize)
	seed(0, aPass(1))
	seed(1, &wire.Rows{Slot: 1, Epoch: 1, Field: wire.Field_INPUT, Rows: []int32{0}, Values: values})
	seed(2, &wire.Work{Slot: 0, Epoch: 1, Layer: 1, Expert: 2, Batch: 3, RowsOfBatch: 2, Row: []int32{1}, Dst: []int32{4},
		Rest: &wire.Rows{Field: wire.Field_INPUT, Rows: []int32{1}, Values: values}})
	seed(3, &wire.Part{Slot: 1, Epoch: 1, Layer: 1, Expert: 2, Rest: &wire.Rows{Field: wire.Field_OUTPUT, Rows: []int32{1}, Values: values}})
	s := newStranger(f, toy.Weights(toy.Config(), toy.Int8, 1))
	s.open(f)
	epoch := uint64(1)
	f.Fuzz(func(t *testing.T, kind byte, raw []byte) {
		var m proto.Message
		switch kind % 4 {
		case 0:
			p := &wire.Pass{}
			if proto.Unmarshal(raw, p) == nil {
				p.Epoch = epoch
				m = p
			}
		case 1:
			r := &wire.Rows{}
			if proto.Unmarshal(raw, r) == nil {
				r.Epoch = epoch
				m = r
			}
		case 2:
			w := &wire.Work{}
			if proto.Unmarshal(raw, w) == nil {
				w.Epoch = epoch
				m = w
			}
		case 3:
			p := &wire.Part{}
			if proto.Unmarshal(raw, p) == nil {
				p.Epoch = epoch
				m = p
			}
		}
		if m == nil {
			return
		}
		s.say(gateName(s.session, 1), m)
		epoch++
		good := aPass(epoch)
		s.say(gateName(s.session, 1), good)
		over := false
		s.hear(t, func(m proto.Message) bool {
			switch m := m.(type) {
			case *wire.Died:
				t.Errorf("a part has died of it: %s", m.Reason)
			case *wire.Bye: // it has ended the session, as it may
				over = true
				return true
			case *wire.Back:
				if m.Epoch == epoch && m.Error != "" {
					t.Errorf("a good batch fails: %s", m.Error)
				}
				return m.Epoch == epoch
			}
			return false
		})
		if over {
			for s.workers[0].Serves() != "" {
				time.Sleep(time.Millisecond)
			}
			s.open(t)
			epoch++
		}
	})
}

// What a worker sends back is checked by the head.
func TestHeadRefuses(t *testing.T) {
	c := toy.Config()
	plan := model.NewPlan(c)
	f := newFerry(c, plan, func(proto.Message) {})
	batch := func() *credit {
		b, err := stages.NewBatch(plan, stages.Limits{Rows: 4, Draws: 4, Sequences: 1, Experts: 5})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		b.AddSequence([]int32{0}, nil, router.Uniform(2))
		b.AddRow(0, stages.Row{Token: 3})
		b.AddDraw(stages.Draw{Kind: stages.Logits})
		b.Seal()
		return newCredit(0, b, c.Model.NumExperts, nil)
	}
	all := stages.Span{Lo: 0, Hi: c.Model.NumLayers}
	for _, test := range []struct {
		name string
		m    *wire.Back
		span stages.Span
	}{
		{"no draws", &wire.Back{}, all},
		{"two draws", &wire.Back{Drawn: []*wire.Drawn{{}, {}}}, all},
		{"a token that is none", &wire.Back{Drawn: []*wire.Drawn{{Token: int32(c.VocabSize)}}}, all},
		{"a negative token", &wire.Back{Drawn: []*wire.Drawn{{Token: -1}}}, all},
		{"rows beyond the batch", &wire.Back{Rest: &wire.Rows{Rows: []int32{4}, Values: make([]byte, 4*c.Model.EmbSize)}}, stages.Span{Hi: 1}},
		{"half a row", &wire.Back{Rest: &wire.Rows{Rows: []int32{0}, Values: make([]byte, 2*c.Model.EmbSize)}}, stages.Span{Hi: 1}},
		{"a field that is none", &wire.Back{Rest: &wire.Rows{Field: 9, Rows: []int32{0}}}, stages.Span{Hi: 1}},
	} {
		if err := f.came(batch(), test.span, test.m); err == nil {
			t.Errorf("%s is taken", test.name)
		}
	}
	probs := make([]byte, 4*c.Model.NumExperts)
	good := func() *wire.Routed {
		return &wire.Routed{Layer: 1, Probs: probs, Count: []int32{2}, Expert: []int32{0, 1}, Gate: make([]byte, 8)}
	}
	for i, spoil := range []func(*wire.Routed){
		func(m *wire.Routed) { m.Layer = 9 }, func(m *wire.Routed) { m.First = 1 }, func(m *wire.Routed) { m.Count = nil }, func(m *wire.Routed) { m.Count = []int32{-1} },
		func(m *wire.Routed) { m.Count = []int32{6} }, func(m *wire.Routed) { m.Expert[1] = 5 }, func(m *wire.Routed) { m.Expert = m.Expert[:1] },
		func(m *wire.Routed) { m.Gate = m.Gate[1:] }, func(m *wire.Routed) { m.Probs = nil }, func(m *wire.Routed) { m.Count = []int32{1, 1} },
		func(m *wire.Routed) { m.Expert = make([]int32, 1<<16) },
	} {
		m := good()
		spoil(m)
		if _, err := f.choices(batch(), all, m); err == nil {
			t.Errorf("routing %d is taken", i)
		}
	}
	if whole, err := f.choices(batch(), all, good()); err != nil || !whole {
		t.Errorf("%v, %v", whole, err)
	}
}
