package actors

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
)

// A worker that welcomes a head again and again does not hold it up.
func TestWelcomedTwice(t *testing.T) {
	system := newSystem()
	t.Cleanup(system.Shutdown)
	n, worker := newLocalNet(system, "head"), newLocalNet(system, address(0))
	door, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*wire.Hello); ok {
			for range 3 {
				worker.send(worker.pid(m.Address, m.Desk), &wire.Welcome{Session: 7})
			}
		}
	}), worker.name(doorName))
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		h := &host{address: address(0), net: n, silence: time.Minute, log: slog.New(slog.DiscardHandler), gone: func(*host, error) {}}
		done := make(chan error, 1)
		go func() { done <- h.connect(t.Context()) }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it hangs")
		}
		h.end(nil, errors.New("the test is over"))
	}
	_ = system.Root.StopFuture(door).Wait()
}

// What belongs to a session before does not touch the present one.
func TestEarlierSession(t *testing.T) {
	h := &host{address: address(0), session: 5, desk: &actor.PID{Id: "desk"}, asked: map[uint64]chan error{}}
	err := h.ask(t.Context(), 4, func(uint64) proto.Message {
		t.Error("the question is asked")
		return nil
	})
	if !errors.Is(err, ErrLost) {
		t.Errorf("a question of a session before: %v, want %v", err, ErrLost)
	}
	h.lost(4, errors.New("an error of its own"))
	if h.now() != 5 {
		t.Error("the present session has ended")
	}
}

// A worker that is lost between opening parts and their taking their places takes them with it.
func TestLostBeforeItBelongs(t *testing.T) {
	k := newKeeper(&Engine{}, &Options{})
	gone := &troop{host: &host{address: address(0), session: 8}, session: 7}
	parts := []Part{{Kind: StagePart, Index: 1}, {ExpertPart, 2, 3}}
	k.belong(quarters{troop: gone}, parts)
	dead := k.take()
	if len(dead) != len(parts) || dead[0].Part != parts[0] || dead[1].Part != parts[1] {
		t.Errorf("deaths %v, want those of %v", dead, parts)
	}
	k.belong(quarters{troop: &troop{host: gone.host, session: 8}}, parts)
	if dead := k.take(); len(dead) > 0 {
		t.Errorf("deaths %v of a worker that is there", dead)
	}
}

// An engine that cannot start says so, whoever is lost meanwhile.
func TestLostDuringStart(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for range 5 {
		c := newCompany(t, w, 1)
		opened, refusal := make(chan struct{}, 8), errors.New("a worker's own reason")
		c.workers[0].o.Load = func(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
			opened <- struct{}{}
			return w, func() error { return nil }, nil
		}
		worker, err := NewWorker(WorkerOptions{Net: newLocalNet(c.net.system, address(1)), Model: c.config, Identity: "toy", Build: "test",
			Devices: []Offered{{Device: place.Device{Name: "cpu", Threads: 1}}, {Device: place.Device{Name: "cpu", Threads: 1}}},
			Load: func(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
				<-opened
				time.Sleep(5 * time.Millisecond) // so that mostly the other one's parts belong to the head
				fire(t, c.workers[0])
				return nil, nil, refusal
			}})
		if err != nil {
			t.Fatal(err)
		}
		c.workers = append(c.workers, worker)
		t.Cleanup(func() { fire(t, worker) })
		o := c.far(t, layout{stages: 2, devices: 2, threads: 1, batches: 2, rows: 4, sequences: 4}, kernels.Int8)
		if e, err := Start(t.Context(), o); err == nil {
			_ = stop(e)
			t.Error("it starts")
		}
	}
}

// A worker that answers, but cannot bring a part back, is as good as lost.
func TestPartThatDoesNotComeBack(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	c := newCompany(t, w, 1)
	e := start(t, c.shared(t, true))
	k := e.keeper
	for _, p := range k.parts() {
		if k.troopOf(p) == nil || p.Kind != ExpertPart {
			continue
		}
		end := begun(t, e)
		s := c.workers[0].of(k.troopOf(p).session)
		s.order <- struct{}{}
		if err := s.shut(k.troopOf(p).number); err != nil {
			t.Error(err)
		}
		<-s.order
		k.note(death{Death: Death{Part: p, Reason: "it was shut"}})
		compare(t, end(), want)
		break
	}
	compare(t, serve(t, e, asks(t)), want)
}

// A move that is cancelled while a worker opens what moves leaves nothing behind there.
func TestCancelledMoveIsClosed(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	c := newCompany(t, w, 1)
	o := c.shared(t, false)
	for i := range o.Placement.Devices {
		o.Placement.Devices[i].Host = ""
	}
	o.Spare = []place.Device{{Name: "cpu", Host: address(0)}}
	opening, open := make(chan struct{}), make(chan struct{})
	c.workers[0].o.Load = func(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
		close(opening)
		<-open
		return w, func() error { return nil }, nil
	}
	e := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	moved := make(chan error, 1)
	go func() {
		_, err := e.Move(ctx, Part{Kind: StagePart, Index: 1}, Target{address(0), 0})
		moved <- err
	}()
	<-opening
	cancel()
	if err := <-moved; !errors.Is(err, context.Canceled) {
		t.Errorf("the move ends with %v", err)
	}
	close(open)
	s := c.workers[0].of(e.hosts[0].now())
	for { // crews are opened and closed in the order in which that was asked
		s.mu.Lock()
		done := len(s.answers) == 2 && s.answers[1] != nil && s.answers[2] != nil
		s.mu.Unlock()
		if done {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := len(s.crews); n != 0 {
		t.Errorf("%d crews are left", n)
	}
}

// A part that comes twice is taken once.
func TestPartTwice(t *testing.T) {
	if once, twice := drawnWith(t, 1), drawnWith(t, 2); once != twice {
		t.Errorf("log probability %v, want %v, as with parts that come once", twice, once)
	}
}

// drawnWith has a worker compute a batch, and answers so many times for the expert that is elsewhere.
func drawnWith(t *testing.T, times int) (logProb float32) {
	t.Helper()
	c := toy.Config()
	s := newStranger(t, toy.Weights(c, toy.Int8, 1))
	s.openWith(t, 0, 1, 2, 3)
	pass, asked := aPass(1), 0
	pass.Sequences[0].Policy = router.Uniform(5).String() // every row goes there, too
	gate := gateName(s.session, 1)
	s.say(gate, pass)
	s.hear(t, func(m proto.Message) bool {
		switch m := m.(type) {
		case *wire.Work:
			asked++
			for range times {
				s.say(gate, &wire.Part{Slot: m.Slot, Epoch: m.Epoch, Layer: m.Layer, Expert: m.Expert,
					Rest: &wire.Rows{Field: wire.Field_OUTPUT, Rows: m.Dst, Values: make([]byte, 4*c.Model.EmbSize*len(m.Dst))}})
			}
		case *wire.Died:
			t.Errorf("a part has died of it: %s", m.Reason)
		case *wire.Bye:
			t.Fatalf("the session ends: %s", m.Reason)
		case *wire.Back:
			if m.Error != "" || len(m.Drawn) != 1 {
				t.Fatalf("%d draws, error %q", len(m.Drawn), m.Error)
			}
			logProb = float32(m.Drawn[0].LogProb)
			return true
		}
		return false
	})
	if asked != c.Model.NumLayers {
		t.Errorf("%d layers have asked, want %d", asked, c.Model.NumLayers)
	}
	return logProb
}

// Whatever numbers a head gives its questions, a bounded number of answers is remembered, and an old one is not done again.
func TestAnswersAreBounded(t *testing.T) {
	s := &session{answers: map[uint64]*wire.Done{}}
	for i := range uint64(5 * mostAnswers) {
		s.answered(1<<62 - 7*i)
		s.answered(i << 50)
		if len(s.answers) > mostAnswers {
			t.Fatalf("%d answers", len(s.answers))
		}
	}
	s = &session{answers: map[uint64]*wire.Done{}}
	for i := range uint64(2 * mostAnswers) {
		if _, asked := s.answered(i + 1); asked {
			t.Errorf("question %d is new", i+1)
		}
	}
	for _, number := range []uint64{1, 2 * mostAnswers} {
		if _, asked := s.answered(number); !asked {
			t.Errorf("question %d is old", number)
		}
	}
}

// A worker opens nothing twice: a short message is not to take all its memory.
func TestOpensNothingTwice(t *testing.T) {
	s := newStranger(t, toy.Weights(toy.Config(), toy.Int8, 1))
	s.open(t)
	for i, spoil := range []func(*wire.Open){
		func(m *wire.Open) { m.Stages = append(m.Stages, m.Stages[0]) },
		func(m *wire.Open) { m.Stages = append(m.Stages, &wire.Span{Stage: 1, Lo: 0, Hi: 2}) },
		func(m *wire.Open) { m.Homes = append(m.Homes, m.Homes[0]) },
		func(m *wire.Open) { m.Homes[0].Experts = []uint32{3, 3} },
	} {
		m := &wire.Open{Session: s.session, Number: uint64(2 + i), Crew: uint32(2 + i), Post: "post-1", Arith: kernels.Int8.String(), Batches: 2, Rows: 8, Draws: 8, Sequences: 4, Experts: 5, Blocks: 8,
			Stages: []*wire.Span{{Stage: 0, Lo: 0, Hi: 1}}, Homes: []*wire.Home{{Layer: 0, Experts: []uint32{1}}}}
		spoil(m)
		s.say(doorName, m)
		s.hear(t, func(m proto.Message) bool {
			d, ok := m.(*wire.Done)
			if ok && d.Error == "" {
				t.Errorf("opening %d is done", i)
			}
			return ok
		})
	}
}

// When what stands for a worker's stage dies here, the stage goes on elsewhere, or there anew.
func TestStandInDies(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	c := newCompany(t, w, 1)
	e := start(t, c.shared(t, false))
	var far *troop
	for _, p := range e.keeper.parts() {
		if p.Kind == StagePart && far == nil {
			far = e.keeper.troopOf(p)
		}
	}
	e.devices[far.device].lane.do(func() {
		send := far.ferry.send
		far.ferry.send = func(proto.Message) {
			far.ferry.send = send
			panic("BUG: a test's own")
		}
	})
	compare(t, serve(t, e, asks(t)), want)
	if l := e.Losses(); l.Deaths == 0 {
		t.Error("nobody has died")
	}
}

// What the other side says is one line of bounded length.
func TestSaid(t *testing.T) {
	for text, want := range map[string]string{"": "", "größer, wanted 3": "größer, wanted 3", "a\x1b[2J\nb\tc": "a [2J b c", "\xff": "\ufffd",
		strings.Repeat("ü", mostSaid): strings.Repeat("ü", mostSaid/2) + "…", "x" + strings.Repeat("ü", mostSaid): "x" + strings.Repeat("ü", mostSaid/2-1) + "?…"} {
		if got := said(text); got != want {
			t.Errorf("%.20q is said as %.60q, want %.60q", text, got, want)
		}
	}
}

// A worker that is lost soon after it came is left alone longer each time, and not for ever.
func TestRest(t *testing.T) {
	h := &host{begun: time.Since(epoch)}
	last := time.Duration(0)
	for range 40 {
		now := h.rest()
		if now < last || now < seekFirst || now > seekLast {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
	if last != seekLast {
		t.Errorf("at last %v, want %v", last, seekLast)
	}
	h.begun -= 2 * steady
	if now := h.rest(); now != seekFirst {
		t.Errorf("after a session that lasted %v, want %v", now, seekFirst)
	}
}
