package actors

import (
	"errors"
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
	routers []*routerActor // by stage; nil: on a worker
	takers  []taker        // by stage
	homes   [][]int        // [layers][experts] device
	rooms   map[Part]*room // of stages and experts in this process

	mu        sync.Mutex
	pids      map[Part]*actor.PID
	troops    map[Part]*troop  // of parts on workers
	injuries  map[Part]*Injury // on their way to workers
	harmed    map[*host]harmed // what was done to workers that are not lost
	asleep    []int            // processes that were stopped
	dead      []death          // not yet taken care of
	moving    *move            // under way; the goroutine's
	missing   error            // why the company is not complete; nil: it is
	wake      chan struct{}
	back      chan struct{} // a worker is back
	commands  chan func()
	seekers   sync.WaitGroup
	stopped   bool          // no more are sent out
	quit      chan struct{} // closed to end it
	done      chan struct{} // closed when it has ended
	chronicle chronicle
}

func newKeeper(e *Engine, o *Options) *keeper {
	return &keeper{engine: e, options: o, pids: map[Part]*actor.PID{}, rooms: map[Part]*room{}, troops: map[Part]*troop{}, injuries: map[Part]*Injury{}, wake: make(chan struct{}, 1), back: make(chan struct{}, 1), commands: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
}

// spawn starts the actor of a part, in an epoch.
func (k *keeper) spawn(p Part, epoch uint64, a actor.Actor, on actor.Dispatcher) (*actor.PID, error) {
	pid, err := k.engine.spawn(k.engine.name(p.name(epoch)), a, on, func(reason any, stack []byte, message any) {
		at := creditOf(message)
		if s, ok := a.(*stageActor); ok && s.at != nil {
			at = s.at // one message may move several batches
		}
		k.unseat(p, a, reason)
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
	k.note(d)
}

// note has deaths taken care of.
func (k *keeper) note(list ...death) {
	k.mu.Lock()
	k.dead = append(k.dead, list...)
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

// kill has a part die at its next turn, or stop there if the injury says so; without one it dies. It reports whether
// there is one that lives.
func (k *keeper) kill(p Part, by *Injury) bool {
	var stop time.Duration
	if by != nil {
		stop = by.Stop
	}
	k.mu.Lock()
	pid, t := k.pids[p], k.troops[p]
	gone := slices.ContainsFunc(k.dead, func(d death) bool { return d.Part == p })
	if t != nil && !gone && stop == 0 {
		k.injuries[p] = by
	}
	k.mu.Unlock()
	if gone || pid == nil && t == nil {
		return false
	}
	if t != nil {
		return t.kill(p, stop)
	}
	if stop > 0 {
		k.engine.system.Root.Send(pid, &halt{stop})
		return true
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
		case f := <-k.commands:
			f()
		case <-k.quit:
			return
		}
	}
}

// stop ends the keeper; the lanes must still run. Who dies from now on stays dead.
func (k *keeper) stop() {
	close(k.quit)
	<-k.done
	k.mu.Lock()
	k.stopped = true
	k.mu.Unlock()
	k.seekers.Wait()
}

// mend makes the company complete again.
func (k *keeper) mend() {
	e := k.engine
	dead := k.take()
	if len(dead) == 0 || e.over() {
		return
	}
	now := k.begin()
	// No turn of an earlier epoch is under way here any more, so nobody else dies of one.
	dead = append(dead, k.take()...)
	moved, err := k.replace(dead, now)
	if err != nil {
		e.finish(err)
		return
	}
	k.complete()
	e.tell(&restart{epoch: now, deaths: dead, moved: moved, stages: k.stages()})
}

// begin begins an epoch: messages of earlier ones are dropped from here on, and nothing of them is at work here any more.
func (k *keeper) begin() (now uint64) {
	e := k.engine
	now = e.epoch.Add(1)
	e.lanes(func(i int, _ *device) {
		for at, s := range e.seats {
			if int(s.device.Load()) == i {
				k.takers[at].forget()
			}
		}
		for _, t := range k.crews() {
			if t.device == i {
				clear(t.ferry.asked)
			}
		}
	})
	return now
}

// stages are the actors of all stages.
func (k *keeper) stages() (all []*actor.PID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.engine.seats {
		all = append(all, k.pids[Part{Kind: StagePart, Index: i}])
	}
	return all
}

// replace spawns parts anew, each once, and has those who send to them know. A stage begins without keys and values.
// It returns what has another place now: all that was lost with a worker, whether its death is among these or not.
func (k *keeper) replace(dead []death, now uint64) (moved []Part, err error) {
	var lost []Part // with their workers
	for i, d := range dead {
		if slices.ContainsFunc(dead[:i], func(earlier death) bool { return earlier.Part == d.Part }) {
			continue
		}
		back := k.respawnHere
		if k.troopOf(d.Part) != nil {
			back = k.respawnThere
		}
		err := back(d.Part, now)
		switch {
		case errors.Is(err, ErrLost):
			lost = append(lost, d.Part)
		case err != nil:
			return nil, fmt.Errorf("actors: %v has died (%s) and does not come back: %w", d.Part, d.Reason, err)
		}
	}
	return k.rehome(lost, now)
}

// respawnHere spawns a part anew in this process.
func (k *keeper) respawnHere(p Part, now uint64) error {
	e := k.engine
	switch p.Kind {
	case StagePart:
		s := k.takers[p.Index].(*stageActor)
		lane := e.devices[s.device.Load()].lane
		pid, err := k.respawn(p, now, s, lane)
		if err != nil {
			return err
		}
		lane.do(s.stage.Lose)
		k.follow(p.Index, pid)
	case RouterPart:
		s := k.takers[p.Index].(*stageActor)
		lane := e.devices[s.device.Load()].lane
		pid, err := k.respawn(p, now, k.routers[p.Index], lane)
		if err != nil {
			return err
		}
		lane.do(func() { s.router = pid })
	case ExpertPart:
		pid, err := k.respawn(p, now, k.expert(p.Index, p.Expert), e.devices[k.homes[p.Index][p.Expert]].lane)
		if err != nil {
			return err
		}
		k.send(p, pid)
	}
	return nil
}

// follow has the stage before another one send to it.
func (k *keeper) follow(stage int, pid *actor.PID) {
	if stage == 0 {
		return // the head sends to it
	}
	before := k.engine.seats[stage-1]
	k.engine.devices[before.device.Load()].lane.do(func() { before.next = pid })
}

// send has the router of an expert's layer send to it.
func (k *keeper) send(p Part, pid *actor.PID) {
	s := k.engine.seatOf(p.Index)
	alone := k.alone(s)
	k.engine.devices[s.device.Load()].lane.do(func() {
		k.experts[p.Index][p.Expert] = pid
		if st, ok := k.takers[s.index].(*stageActor); ok {
			st.alone = alone
		}
	})
}

// alone tells whether all experts of a stage are on its device.
func (k *keeper) alone(s *seat) bool {
	for _, homes := range k.homes[s.span.Lo:s.span.Hi] {
		if slices.ContainsFunc(homes, func(d int) bool { return d != int(s.device.Load()) }) {
			return false
		}
	}
	return true
}

// seatOf is the seat of the stage with a layer.
func (e *Engine) seatOf(layer int) *seat {
	i := slices.IndexFunc(e.seats, func(s *seat) bool { return s.span.Lo <= layer && layer < s.span.Hi })
	return e.seats[i]
}

// retire stops the actor of a part that has none here any more.
func (k *keeper) retire(p Part) {
	k.mu.Lock()
	old := k.pids[p]
	delete(k.pids, p)
	k.mu.Unlock()
	k.engine.dismiss(old)
}

func (k *keeper) respawn(p Part, now uint64, a actor.Actor, on actor.Dispatcher) (*actor.PID, error) {
	k.mu.Lock()
	old := k.pids[p]
	k.mu.Unlock()
	k.engine.dismiss(old)
	return k.spawn(p, now, a, on)
}

// dismiss stops an actor, if it has not stopped already.
func (e *Engine) dismiss(old *actor.PID) {
	e.mu.Lock()
	e.actors = slices.DeleteFunc(e.actors, func(pid *actor.PID) bool { return pid == old })
	e.mu.Unlock()
	if old != nil {
		e.system.Root.Stop(old)
	}
}

// expert makes the actor of an expert.
func (k *keeper) expert(layer, x int) *expertActor {
	home := k.homes[layer][x]
	return &expertActor{layer: layer, expert: x, on: k.rooms[Part{ExpertPart, layer, x}], device: home, trace: k.options.Trace}
}

// parts lists all of them, stages first, in a fixed order.
func (k *keeper) parts() []Part {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := maps.Clone(k.pids)
	for p := range k.troops {
		all[p] = nil
	}
	return slices.SortedFunc(maps.Keys(all), comparePart)
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
