package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/model"
	"troupe/stages"
)

// crew are parts of a head's pipeline on one device of a worker: stages with their routers, and experts. In the place
// of the head, and of whatever lives elsewhere, is the gate.
type crew struct {
	*Engine
	number  uint32
	options Options
	blocks  int
	send    func(proto.Message) // to the head's post
	gate    *gateActor
	room    *room
	device  uint32
	living  contents
}

// gateActor takes what the head says of batches and sends back what becomes of them, on the lane of the crew.
type gateActor struct {
	crew     *crew
	self     *actor.PID
	ferry    ferry
	policies policies
	slots    []*visit
	stages   map[int]*crewStage
	experts  [][]*actor.PID // [layers][experts] that routers of the crew send to: here, or whoever stands for one elsewhere
	living   map[expertKey]*actor.PID
	end      func(error)                                 // of the session
	alive    func()                                      // a sign of life of the head
	broken   func(reason any, stack []byte, message any) // told of a panic that ends the session
}

type expertKey struct{ layer, expert int }

// visit is what there is in a slot.
type visit struct {
	*credit
	stage   *crewStage // that it is at; nil: none
	working int        // experts that compute for it, without a stage
	observe bool
	trace   bool
	at      time.Duration // since epoch
	busy    int64         // of the stage, before it came
	turns   []*wire.Turn
}

// crewStage is a stage of the crew with its router.
type crewStage struct {
	actor     *stageActor
	router    *routerActor
	pid       *actor.PID
	routerPID *actor.PID
}

func gateName(session uint64, crew uint32) string { return fmt.Sprintf("crew-%d-%x", crew, session) }

// openCrew opens parts for a head, with weights that are the crew's. What was opened before an error is closed again.
func (w *Worker) openCrew(ctx context.Context, s *session, m *wire.Open, o Options, l loaded) (*crew, error) {
	post := w.o.Net.pid(s.address, m.Post)
	plan := model.NewPlan(o.Model)
	e := &Engine{log: o.Log, ended: make(chan struct{}), stopped: make(chan struct{}), system: w.o.Net.system, plan: plan}
	e.epoch.Store(m.Epoch)
	k := &crew{Engine: e, number: m.Crew, device: m.Device, living: contentsOf(m), options: o, blocks: int(m.Blocks), send: func(about proto.Message) { w.o.Net.carry(s.data.Load(), m.Crew, post, about) }}
	e.binder = newBinder(e, &k.options)
	k.room = &room{lane: s.lane(int(m.Device)), unload: l.close}
	e.rooms.put(0, k.room)
	var err error
	k.room.lane.do(func() {
		err = k.room.open(ctx, &k.options, plan, l.weights, o.Binding, o.Placement.Devices[0].KernelThreads(), contentsOf(m), e.binder)
	})
	if err == nil {
		e.binder.adopt()
		err = e.makeCredits(&k.options, plan)
	}
	if err == nil {
		err = k.spawnAll(w, s, m)
	}
	go e.binder.run()
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

// spawnAll spawns the gate, then experts, routers and stages, each after those it sends to.
func (k *crew) spawnAll(w *Worker, s *session, m *wire.Open) error {
	c, lane := k.options.Model, k.room.lane
	g := &gateActor{crew: k, ferry: newFerry(c, k.plan, k.send), policies: policies{}, stages: map[int]*crewStage{}, living: map[expertKey]*actor.PID{}, end: s.end, alive: s.alive}
	for _, b := range k.credits {
		g.slots = append(g.slots, &visit{credit: b})
	}
	k.gate = g
	g.broken = func(reason any, stack []byte, _ any) {
		k.log.Error("panic", slog.String("actor", "gate"), slog.Any("panic", reason), slog.String("stack", string(stack)))
		s.end(fmt.Errorf("BUG: crew %d: panic: %v", k.number, reason))
	}
	var err error
	if g.self, err = k.spawn(w.o.Net.name(gateName(s.number, k.number)), g, lane, g.broken); err != nil {
		return err
	}
	for layer, homes := range k.options.Placement.Experts {
		pids := make([]*actor.PID, len(homes))
		for x, home := range homes {
			if home < 0 {
				pids[x], err = k.spawn(k.name(fmt.Sprintf("far-%d.%d", layer, x)), &farExpert{layer, x, &g.ferry}, lane, g.broken)
			} else {
				pids[x], err = k.spawnPart(Part{ExpertPart, layer, x}, &expertActor{layer: layer, expert: x, on: k.room, trace: g.turn}, 0)
				g.living[expertKey{layer, x}] = pids[x]
			}
			if err != nil {
				return err
			}
		}
		g.experts = append(g.experts, pids)
	}
	for i, span := range m.Stages {
		at := int(span.GetStage())
		if g.stages[at] != nil {
			return fmt.Errorf("stage %d stands twice", at)
		}
		st := &crewStage{router: &routerActor{probs: k.plan.Probs, experts: g.experts, observed: g.observe}}
		st.actor = &stageActor{seat: &seat{index: at, span: k.options.Placement.Stages[i].Span, trace: g.turn}, stage: k.room.stages[at], alone: k.alone(k.options.Placement.Stages[i].Span)}
		g.stages[at] = st
		if st.routerPID, err = k.spawnPart(Part{Kind: RouterPart, Index: at}, st.router, 0); err != nil {
			return err
		}
		st.actor.router = st.routerPID
		if st.pid, err = k.spawnPart(Part{Kind: StagePart, Index: at}, st.actor, 0); err != nil {
			return err
		}
	}
	return nil
}

// alone tells whether all experts of a span are in the crew.
func (k *crew) alone(s stages.Span) bool {
	for _, homes := range k.options.Placement.Experts[s.Lo:s.Hi] {
		if slices.Contains(homes, -1) {
			return false
		}
	}
	return true
}

var spawned atomic.Uint64 // tells actors of crews apart that come one after the other

func (k *crew) name(part string) string {
	return fmt.Sprintf("%s/crew-%d-%d", part, k.number, spawned.Add(1))
}

// spawnPart spawns the actor of a part; the head hears of its death.
func (k *crew) spawnPart(p Part, a actor.Actor, epoch uint64) (*actor.PID, error) {
	return k.spawn(k.name(p.name(epoch)), a, k.room.lane, func(reason any, stack []byte, message any) {
		at := creditOf(message)
		if s, ok := a.(*stageActor); ok && s.at != nil {
			at = s.at
		}
		what, _, _ := strings.Cut(fmt.Sprint(reason), "\n")
		died := &wire.Died{Crew: k.number, Part: p.wire(), Reason: words(what), Epoch: k.epoch.Load()}
		if _, died.Killed = reason.(killed); !died.Killed {
			k.log.Error("panic", slog.String("part", p.String()), slog.Any("panic", reason), slog.String("stack", string(stack)))
		}
		if at != nil {
			died.Slot = uint32(at.slot) + 1
		}
		k.send(died)
	})
}

// revive spawns a part anew that has died.
func (k *crew) revive(p Part, epoch uint64) (err error) {
	g := k.gate
	k.room.lane.do(func() {
		if epoch > k.epoch.Load() {
			g.begin(epoch)
		}
		st := g.stages[p.Index]
		switch {
		case p.Kind == ExpertPart:
			key := expertKey{p.Index, p.Expert}
			if g.living[key] == nil {
				err = fmt.Errorf("%v is not here", p)
				return
			}
			var pid *actor.PID
			if pid, err = k.respawn(g.living[key], p, &expertActor{layer: p.Index, expert: p.Expert, on: k.room, trace: g.turn}, epoch); err == nil {
				g.living[key], g.experts[p.Index][p.Expert] = pid, pid
			}
		case st == nil:
			err = fmt.Errorf("%v is not here", p)
		case p.Kind == RouterPart:
			if st.routerPID, err = k.respawn(st.routerPID, p, st.router, epoch); err == nil {
				st.actor.router = st.routerPID
			}
		default:
			st.actor.stage.Lose()
			st.pid, err = k.respawn(st.pid, p, st.actor, epoch)
		}
	})
	return err
}

func (k *crew) respawn(old *actor.PID, p Part, a actor.Actor, epoch uint64) (*actor.PID, error) {
	k.dismiss(old)
	return k.spawnPart(p, a, epoch)
}

// leave closes a part that is elsewhere from an epoch on.
func (k *crew) leave(p Part, epoch uint64) (err error) {
	g := k.gate
	k.room.lane.do(func() {
		if epoch > k.epoch.Load() {
			g.begin(epoch)
		}
		key, st := expertKey{p.Index, p.Expert}, g.stages[p.Index]
		switch {
		case p.Kind == ExpertPart && g.living[key] != nil:
			k.dismiss(g.living[key])
			delete(g.living, key)
			far := &farExpert{p.Index, p.Expert, &g.ferry}
			g.experts[p.Index][p.Expert], err = k.spawn(k.name(fmt.Sprintf("far-%d.%d", p.Index, p.Expert)), far, k.room.lane, g.broken)
			k.living.experts = slices.DeleteFunc(k.living.experts, func(x Part) bool { return x == p })
		case p.Kind == StagePart && st != nil:
			k.dismiss(st.pid)
			k.dismiss(st.routerPID)
			delete(g.stages, p.Index)
			k.living.stages = slices.DeleteFunc(k.living.stages, func(l located) bool { return l.index == p.Index })
			err = st.actor.stage.Empty()
		}
	})
	return err
}

// kill has a part die at its next turn, or stop there.
func (k *crew) kill(p Part, stop time.Duration) {
	k.room.lane.do(func() {
		var pid *actor.PID
		st := k.gate.stages[p.Index]
		switch {
		case p.Kind == ExpertPart:
			pid = k.gate.living[expertKey{p.Index, p.Expert}]
		case st == nil:
		case p.Kind == RouterPart:
			pid = st.routerPID
		default:
			pid = st.pid
		}
		switch {
		case pid == nil:
		case stop > 0:
			k.system.Root.Send(pid, &halt{stop})
		default:
			k.system.Root.Send(pid, &die{nil})
		}
	})
}

// close ends the crew. Its lane goes on.
func (k *crew) close() error {
	k.finish(ErrStopped)
	k.binder.stop()
	for i := len(k.actors) - 1; i >= 0; i-- {
		k.system.Root.Stop(k.actors[i])
	}
	k.alive.Wait()
	var errs []error
	for _, c := range k.credits {
		errs = append(errs, c.batch.Close())
	}
	k.room.lane.do(func() { errs = append(errs, k.room.close()) })
	return errors.Join(errs...)
}
