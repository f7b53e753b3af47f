package actors

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages"
)

// keeper keeps the company complete. When a part has died it begins a new epoch, in which nothing of the earlier
// ones is computed any more, spawns the part anew, and tells the head, which has everything sent again that was on
// its way. One goroutine, because it waits for lanes.
type keeper struct {
	engine  *Engine
	options *Options
	experts [][]*actor.PID // [layers][experts]; an entry belongs to the lane of its router
	routers []*routerActor // by stage

	mu        sync.Mutex
	pids      map[Part]*actor.PID
	dead      []death // not yet taken care of
	wake      chan struct{}
	quit      chan struct{} // closed to end it
	done      chan struct{} // closed when it has ended
	chronicle chronicle
}

func newKeeper(e *Engine, o *Options) *keeper {
	return &keeper{engine: e, options: o, pids: map[Part]*actor.PID{}, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

// spawn starts the actor of a part, in an epoch.
func (k *keeper) spawn(p Part, epoch uint64, a actor.Actor, on actor.Dispatcher) (*actor.PID, error) {
	pid, err := k.engine.spawn(p.name(epoch), a, on, func(reason any, stack []byte, message any) {
		at := creditOf(message)
		if s, ok := a.(*stageActor); ok && s.at != nil {
			at = s.at // one message may move several batches
		}
		k.hear(p, reason, stack, at)
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pids[p] = pid
	return pid, nil
}

// hear takes note of a death, on the lane where it happened.
func (k *keeper) hear(p Part, reason any, stack []byte, at *credit) {
	what, _, _ := strings.Cut(fmt.Sprint(reason), "\n") // a worker's panic brings its own stack
	d := death{Death: Death{Part: p, Reason: what}, at: time.Since(epoch), credit: at}
	if by, ok := reason.(killed); ok {
		d.Killed, d.injury, d.Reason = true, by.injury, "killed on purpose"
		k.engine.log.Info("killed on purpose", slog.String("part", p.String()))
	} else {
		k.engine.log.Error("panic", slog.String("part", p.String()), slog.Any("panic", reason), slog.String("stack", string(stack)))
	}
	k.mu.Lock()
	k.dead = append(k.dead, d)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// take returns the deaths that nobody has taken care of.
func (k *keeper) take() []death {
	k.mu.Lock()
	defer k.mu.Unlock()
	dead := k.dead
	k.dead = nil
	for i := range dead {
		dead[i].Noticed = time.Since(epoch) - dead[i].at
	}
	return dead
}

// kill has a part die at its next turn. It reports whether there is one that lives.
func (k *keeper) kill(p Part, by *Injury) bool {
	k.mu.Lock()
	pid := k.pids[p]
	gone := slices.ContainsFunc(k.dead, func(d death) bool { return d.Part == p })
	k.mu.Unlock()
	if pid == nil || gone {
		return false
	}
	k.engine.system.Root.Send(pid, &die{by})
	return true
}

func (k *keeper) run() {
	defer close(k.done)
	for {
		select {
		case <-k.wake:
			k.mend()
		case <-k.quit:
			return
		}
	}
}

// stop ends the keeper; the lanes must still run. Who dies from now on stays dead.
func (k *keeper) stop() {
	close(k.quit)
	<-k.done
}

// mend makes the company complete again.
func (k *keeper) mend() {
	e := k.engine
	dead := k.take()
	if len(dead) == 0 || e.over() {
		return
	}
	now := e.epoch.Add(1) // from here on messages of earlier epochs are dropped
	e.lanes(func(i int, _ *device) {
		for _, s := range e.stages {
			if s.device == i {
				s.forget()
			}
		}
	})
	// No turn of an earlier epoch is under way any more, so nobody else dies of one.
	dead = append(dead, k.take()...)
	for _, d := range dead {
		if err := k.replace(d.Part, now); err != nil {
			e.finish(fmt.Errorf("actors: %v has died (%s) and does not come back: %w", d.Part, d.Reason, err))
			return
		}
	}
	e.tell(&restart{epoch: now, deaths: dead, stages: k.stages()})
}

// stages are the actors of all stages.
func (k *keeper) stages() (all []*actor.PID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.engine.stages {
		all = append(all, k.pids[Part{Kind: StagePart, Index: i}])
	}
	return all
}

// replace spawns a part anew and has those who send to it know. A stage begins without keys and values.
func (k *keeper) replace(p Part, now uint64) error {
	e := k.engine
	switch p.Kind {
	case StagePart:
		s := e.stages[p.Index]
		pid, err := k.respawn(p, now, s, e.devices[s.device])
		if err != nil {
			return err
		}
		e.devices[s.device].lane.do(s.stage.Lose)
		if p.Index > 0 {
			before := e.stages[p.Index-1]
			e.devices[before.device].lane.do(func() { before.next = pid })
		}
	case RouterPart:
		s := e.stages[p.Index]
		pid, err := k.respawn(p, now, k.routers[p.Index], e.devices[s.device])
		if err != nil {
			return err
		}
		e.devices[s.device].lane.do(func() { s.router = pid })
	case ExpertPart:
		pid, err := k.respawn(p, now, k.expert(p.Index, p.Expert), e.devices[k.options.Placement.Experts[p.Index][p.Expert]])
		if err != nil {
			return err
		}
		of := slices.IndexFunc(e.stages, func(s *stageActor) bool { return s.stage.Span.Lo <= p.Index && p.Index < s.stage.Span.Hi })
		e.devices[e.stages[of].device].lane.do(func() { k.experts[p.Index][p.Expert] = pid })
	}
	return nil
}

func (k *keeper) respawn(p Part, now uint64, a actor.Actor, on *device) (*actor.PID, error) {
	k.mu.Lock()
	old := k.pids[p]
	k.mu.Unlock()
	k.engine.actors = slices.DeleteFunc(k.engine.actors, func(pid *actor.PID) bool { return pid == old })
	return k.spawn(p, now, a, on.lane)
}

// expert makes the actor of an expert.
func (k *keeper) expert(layer, x int) *expertActor {
	home := k.options.Placement.Experts[layer][x]
	return &expertActor{layer: layer, expert: x, on: k.engine.devices[home], device: home, trace: k.options.Trace}
}

// parts lists all of them, stages first, in a fixed order.
func (k *keeper) parts() []Part {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.SortedFunc(maps.Keys(k.pids), comparePart)
}

// lanes does something on the lane of every device and waits for it, between two of its turns.
func (e *Engine) lanes(f func(i int, d *device)) {
	var wg sync.WaitGroup
	for i, d := range e.devices {
		wg.Go(func() { d.lane.do(func() { f(i, d) }) })
	}
	wg.Wait()
}

// makeJournals makes that of every boundary, unless they are not wanted.
func (e *Engine) makeJournals(o *Options) error {
	e.journals = make([]*stages.Journal, len(o.Placement.Stages)+1)
	for i := 1; i < len(o.Placement.Stages) && !o.NoJournal; i++ {
		j, err := stages.NewJournal(o.Model, e.plan, o.Sched.Blocks)
		if err != nil {
			return fmt.Errorf("actors: journal of what enters stage %d: %w, or leave it out (--stage-journal=false)", i, err)
		}
		e.journals[i] = j
	}
	return nil
}
