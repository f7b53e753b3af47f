package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/model"
)

const (
	// seekFirst is how long after its loss a worker is looked for; then it is twice as long each time, up to seekLast.
	seekFirst = 50 * time.Millisecond
	seekLast  = 2 * time.Second
	// knockPatience is how long a worker that was lost may take to be reached again.
	knockPatience = time.Second
)

// connect begins a session with every worker of the placement, all at once, and with those that are spare as far as
// they are there.
func (e *Engine) connect(ctx context.Context, o *Options) error {
	wanted := map[string]bool{}
	var order []string
	for i, d := range slices.Concat(o.Placement.Devices, o.Spare) {
		if d.Host == "" {
			continue
		}
		if _, known := wanted[d.Host]; !known {
			order = append(order, d.Host)
		}
		wanted[d.Host] = wanted[d.Host] || i < len(o.Placement.Devices)
	}
	if len(order) == 0 {
		return nil
	}
	if err := o.checkFar(); err != nil {
		return err
	}
	errs := make([]error, len(order))
	var wg sync.WaitGroup
	for i, address := range order {
		h, err := e.newHost(o, address)
		if err != nil {
			return err
		}
		e.hosts = append(e.hosts, h)
		wg.Go(func() { errs[i] = h.connect(ctx) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil && wanted[order[i]] {
			return err
		}
		if err != nil {
			e.log.Warn("a spare worker is not there", slog.Any("error", err))
			e.keeper.seek(e.hosts[i])
		}
	}
	return nil
}

// checkFar refuses what workers cannot do.
func (o *Options) checkFar() error {
	switch {
	case o.Net == nil:
		return errors.New("actors: a device of the placement is a worker's, but there is no way to reach it: give Options.Net")
	case o.Look != nil:
		return errors.New("actors: batches cannot be looked at on workers: place all layers on devices of this process")
	case o.Identity == "":
		return errors.New("actors: workers must have the same checkpoint: give Options.Identity")
	}
	return checkFits(o.Model, model.NewPlan(o.Model))
}

// host is the worker of an address, nil for none.
func (e *Engine) host(address string) *host {
	i := slices.IndexFunc(e.hosts, func(h *host) bool { return h.address == address })
	if i < 0 {
		return nil
	}
	return e.hosts[i]
}

// station opens all that the placement puts on a worker's device.
func (k *keeper) station(ctx context.Context, device int) error {
	var parts []Part
	for _, s := range k.engine.seats {
		if int(s.device.Load()) == device {
			parts = append(parts, Part{Kind: StagePart, Index: s.index})
		}
	}
	for layer, homes := range k.homes {
		for x, home := range homes {
			if home == device {
				parts = append(parts, Part{ExpertPart, layer, x})
			}
		}
	}
	t, err := k.engine.recruit(ctx, device, parts)
	if err != nil {
		return err
	}
	k.belong(quarters{troop: t}, parts)
	return nil
}

// belong notes where parts are; a stage's router is with it. Where the worker has been lost since it opened them, who
// took note of that did not know them as its parts.
func (k *keeper) belong(q quarters, parts []Part) {
	k.own(q, parts)
	if t := q.troop; t != nil && t.host.now() != t.session {
		why := t.host.reason()
		var deaths []death
		for _, p := range parts {
			deaths = append(deaths, death{Death: Death{Part: p, Host: t.host.address, Reason: why.Error()}, at: time.Since(epoch)})
		}
		k.note(deaths...)
	}
}

func (k *keeper) own(q quarters, parts []Part) {
	k.mu.Lock()
	defer k.mu.Unlock()
	note := func(p Part) {
		if k.troops[p] = q.troop; q.troop == nil {
			delete(k.troops, p)
		}
	}
	for _, p := range parts {
		note(p)
		if p.Kind == StagePart {
			note(Part{Kind: RouterPart, Index: p.Index})
		}
	}
}

// troopOf is the troop of a part; nil: it is in this process.
func (k *keeper) troopOf(p Part) *troop {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.troops[p]
}

// crews are all troops.
func (k *keeper) crews() (all []*troop) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.troops {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// seatFar has an actor stand for a part of a troop, in its place.
func (k *keeper) seatFar(t *troop, p Part, now uint64) error {
	e := k.engine
	lane := e.devices[t.device].lane
	if p.Kind == ExpertPart {
		pid, err := k.respawn(p, now, &farExpert{p.Index, p.Expert, &t.ferry}, lane)
		if err != nil {
			return err
		}
		k.homes[p.Index][p.Expert] = t.device
		delete(k.rooms, p)
		k.send(p, pid)
		return nil
	}
	k.retire(Part{Kind: RouterPart, Index: p.Index})
	f := &farStage{seat: e.seats[p.Index], troop: t}
	if e.count != nil {
		f.count = e.count[p.Index]
	}
	pid, err := k.respawn(p, now, f, lane)
	if err != nil {
		return err
	}
	k.takers[p.Index], k.routers[p.Index] = f, nil
	delete(k.rooms, p)
	f.device.Store(int32(t.device))
	lane.do(func() { t.actor.stages[uint32(p.Index)] = f })
	k.follow(p.Index, pid)
	return nil
}

// unseat gives a worker up when what stands for a part of it here has died: whoever takes over gets another one. It does
// nothing for the parts of this process.
func (k *keeper) unseat(p Part, a actor.Actor, reason any) {
	switch a.(type) {
	case *farStage, *farExpert:
		if t := k.troopOf(p); t != nil {
			t.host.lost(t.session, fmt.Errorf("BUG: what stands for %v here: panic: %v", p, reason))
		}
	}
}

// kill has a part of the crew die.
func (t *troop) kill(p Part, stop time.Duration) bool {
	if t.host.now() != t.session {
		return false
	}
	t.host.tell(t.session, func(uint64) proto.Message {
		return &wire.Kill{Session: t.session, Crew: t.number, Part: p.wire(), Stop: int64(stop)}
	})
	return true
}

// hearOf takes note of a death in a crew.
func (k *keeper) hearOf(p Part, reason string, onPurpose bool, at *credit) {
	d := death{Death: Death{Part: p, Reason: reason, Killed: onPurpose}, at: time.Since(epoch), credit: at}
	if onPurpose {
		d.injury, d.Reason = k.injury(p), "killed on purpose"
	} else {
		k.engine.log.Error("panic on a worker", slog.String("part", p.String()), slog.String("reason", reason))
	}
	k.note(d)
}

// injury is what was done to a part on a worker.
func (k *keeper) injury(p Part) *Injury {
	k.mu.Lock()
	defer k.mu.Unlock()
	by := k.injuries[p]
	delete(k.injuries, p)
	return by
}

// lostHost takes note that a worker is gone, with all its parts.
func (e *Engine) lostHost(h *host, why error) {
	k := e.keeper
	e.log.Warn("worker lost", slog.String("worker", h.address), slog.Any("reason", why))
	var deaths []death
	k.mu.Lock()
	for p, t := range k.troops {
		if t.host == h && !k.within(p) {
			deaths = append(deaths, death{Death: Death{Part: p, Host: h.address, Reason: why.Error()}, at: time.Since(epoch)})
		}
	}
	by, harmed := k.harmOf(h)
	k.mu.Unlock()
	k.seek(h)
	slices.SortFunc(deaths, func(a, b death) int { return comparePart(a.Part, b.Part) })
	if harmed && len(deaths) > 0 {
		deaths[0].injury = by.injury
		for i := range deaths {
			deaths[i].at = by.at
		}
	}
	if len(deaths) > 0 {
		k.note(deaths...)
	}
}

// within tells whether a part on a worker lives with its stage, and is opened with it. The caller has k.mu.
func (k *keeper) within(p Part) bool {
	switch p.Kind {
	case RouterPart:
		return true
	case ExpertPart:
		return k.troops[p] == k.troops[Part{Kind: StagePart, Index: k.engine.seatOf(p.Index).index}]
	}
	return false
}

// respawnThere has a worker spawn a part anew.
func (k *keeper) respawnThere(p Part, now uint64) error {
	t := k.troopOf(p)
	if t.host.now() != t.session {
		return ErrLost
	}
	ctx, cancel := k.patience(t.host.silence + greetPatience) // one that is silent is lost before
	defer cancel()
	err := t.host.ask(ctx, t.session, func(number uint64) proto.Message {
		return &wire.Revive{Session: t.session, Number: number, Crew: t.number, Part: p.wire(), Epoch: now}
	})
	if err != nil && !errors.Is(err, ErrLost) && !k.ending() {
		t.host.lost(t.session, fmt.Errorf("it does not bring back %v: %w", p, err))
		return ErrLost // others may have it
	}
	return err
}

// ending tells whether the keeper or the engine is to end.
func (k *keeper) ending() bool {
	select {
	case <-k.quit:
		return true
	default:
		return k.engine.over()
	}
}

// patience is a context that ends when the engine does, or after so long.
func (k *keeper) patience(most time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	go func() {
		select {
		case <-k.quit:
			cancel()
		case <-k.engine.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
