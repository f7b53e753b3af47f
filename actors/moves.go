package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
)

// Moved is what a move has come to.
type Moved struct {
	Parts   []Part // a stage takes those experts of its layers with it that live where it lives
	From    Target
	To      Target
	Opening time.Duration // on the new device; requests ran meanwhile
	Pause   time.Duration // until all that was on its way was on its way again
	// Replayed rows and Resent batches are as in Recovery.
	Replayed int
	Resent   int
}

// ErrMoving refuses a move because another one, or a swap, is under way.
var ErrMoving = errors.New("wait for its end")

// Move opens a stage or an expert on another device while requests run, and then has it take the place of the one
// there was, which is closed. No request notices more than a pause; no byte changes. A router moves with its stage.
// Cancelling ctx before the change of places leaves everything as it was.
func (e *Engine) Move(ctx context.Context, p Part, to Target) (m Moved, err error) {
	k, done := e.keeper, make(chan struct{})
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return m, ErrStopped
	}
	k.seekers.Go(func() {
		defer close(done)
		m, err = k.relocate(ctx, p, to)
	})
	k.mu.Unlock()
	<-done
	if err != nil {
		err = fmt.Errorf("actors: move %v to %v: %w", p, to, err)
	}
	return m, err
}

// move is one under way.
type move struct {
	parts    []Part
	from, to int      // devices
	old      quarters // where the part is
}

// relocate is Move, on a goroutine of its own.
func (k *keeper) relocate(ctx context.Context, p Part, to Target) (result Moved, err error) {
	e := k.engine
	if err := e.checkPart(p); err != nil {
		return result, err
	}
	swapping := false
	ask := make(chan struct{})
	if err := e.binder.urge(ctx, func() { swapping = e.binder.trial != nil || e.binder.waiting != nil; close(ask) }); err != nil {
		return result, err
	}
	if <-ask; swapping {
		return result, fmt.Errorf("a swap of kernels is under way: %w", ErrMoving)
	}
	var m *move
	if err := k.do(ctx, func() (err error) {
		if m, err = k.planMove(p, to); err == nil {
			k.moving = m
		}
		return err
	}); err != nil {
		return result, err
	}
	begin := time.Since(epoch)
	q, err := k.furnish(ctx, m.to, m.parts)
	if err != nil {
		_ = k.do(context.Background(), func() error { k.moving = nil; return nil })
		return result, err
	}
	result = Moved{Parts: m.parts, From: e.targetOf(m.from), To: to, Opening: time.Since(epoch) - begin}
	done, empty := make(chan Recovery, 1), false
	err = k.do(context.WithoutCancel(ctx), func() (err error) {
		k.moving = nil
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		empty, err = k.change(m, q, done)
		return err
	})
	if err != nil {
		return result, errors.Join(err, k.close(q))
	}
	if empty {
		if err := k.close(m.old); err != nil {
			e.log.Warn("closing what has moved away", slog.Any("error", err))
		}
	}
	select {
	case r := <-done:
		result.Pause, result.Replayed, result.Resent = r.Recovered, r.Replayed, r.Resent
		return result, nil
	case <-e.ended:
		return result, e.reason
	}
}

// do has the keeper do something between two of its other tasks.
func (k *keeper) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case k.commands <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.done:
		return ErrStopped
	}
}

// checkPart reports a part that there is not, or that does not move by itself.
func (e *Engine) checkPart(p Part) error {
	switch {
	case p.Kind == RouterPart:
		return fmt.Errorf("a router moves with its stage: move stage=%d", p.Index)
	case p.Kind == StagePart && p.Index >= len(e.seats):
		return fmt.Errorf("there is no such stage: there are 0 to %d", len(e.seats)-1)
	case p.Kind == ExpertPart && (p.Index >= len(e.keeper.homes) || p.Expert >= len(e.keeper.homes[0])):
		return fmt.Errorf("there is no such expert: there are 0.0 to %d.%d", len(e.keeper.homes)-1, len(e.keeper.homes[0])-1)
	}
	return nil
}

// planMove checks a move and says what goes with the part.
func (k *keeper) planMove(p Part, to Target) (*move, error) {
	e := k.engine
	device, err := e.find(to)
	if err != nil {
		return nil, err
	}
	d, at := e.devices[device], k.where()
	m := &move{parts: []Part{p}, from: at[p], to: device, old: k.quartersOf(p)}
	switch {
	case k.moving != nil:
		return nil, fmt.Errorf("%v is being moved: %w", k.moving.parts[0], ErrMoving)
	case m.from == device:
		return nil, fmt.Errorf("it is there")
	case d.host != nil && d.host.now() == 0:
		return nil, d.host.reason()
	}
	if p.Kind == StagePart {
		for other := range at {
			if other.Kind == ExpertPart && e.seatOf(other.Index).index == p.Index && k.quartersOf(other) == m.old {
				m.parts = append(m.parts, other)
			}
		}
		slices.SortFunc(m.parts, comparePart)
	}
	return m, k.fits(device, m.parts)
}

// quartersOf is where a part has been opened.
func (k *keeper) quartersOf(p Part) quarters {
	if t := k.troopOf(p); t != nil {
		return quarters{troop: t}
	}
	return quarters{room: k.rooms[p]}
}

// change has parts that have been opened elsewhere take their places, in a new epoch. It reports whether nobody is left
// where they were.
func (k *keeper) change(m *move, q quarters, done chan Recovery) (empty bool, err error) {
	e := k.engine
	if e.over() {
		return false, e.reason
	}
	k.mend() // who has died until now
	if e.over() {
		return false, e.reason
	}
	if slices.ContainsFunc(m.parts, func(p Part) bool { return k.quartersOf(p) != m.old }) {
		return false, errors.New("it was lost meanwhile, and has been taken over")
	}
	if q.troop != nil && q.troop.host.now() != q.troop.session {
		return false, q.troop.host.reason()
	}
	at := time.Since(epoch)
	now := k.begin()
	dead := k.take()
	if err := k.settle(q, m.parts, now); err != nil {
		e.finish(err)
		return false, err
	}
	dead = slices.DeleteFunc(dead, func(d death) bool { // who died as it moved is there anew
		stage := Part{Kind: StagePart, Index: d.Part.Index}
		return slices.Contains(m.parts, d.Part) || d.Part.Kind == RouterPart && slices.Contains(m.parts, stage)
	})
	moved, err := k.replace(dead, now)
	if err != nil {
		e.finish(err)
		return false, err
	}
	if empty = k.vacant(m.old); !empty {
		k.leave(m, now)
	}
	k.complete()
	e.tell(&restart{epoch: now, at: at, deaths: dead, moved: append(moved, m.parts...), done: done, stages: k.stages()})
	return empty, nil
}

// vacant tells whether nobody has his place in some quarters.
func (k *keeper) vacant(q quarters) bool {
	for p := range k.where() {
		if k.quartersOf(p) == q {
			return false
		}
	}
	return true
}

// leave closes what has moved away while others stay there.
func (k *keeper) leave(m *move, now uint64) {
	if r := m.old.room; r != nil {
		r.lane.do(func() {
			for _, p := range m.parts {
				if p.Kind == StagePart {
					if err := r.stages[p.Index].Empty(); err != nil {
						k.engine.log.Warn("giving a cache back", slog.Any("error", err))
					}
				}
			}
		})
		return
	}
	t := m.old.troop
	ctx, cancel := k.patience(t.host.silence + greetPatience)
	defer cancel()
	for _, p := range m.parts {
		if p.Kind == StagePart {
			k.engine.devices[t.device].lane.do(func() { delete(t.actor.stages, uint32(p.Index)) })
		}
		err := t.host.ask(ctx, t.session, func(number uint64) proto.Message {
			return &wire.Leave{Session: t.session, Number: number, Crew: t.number, Part: p.wire(), Epoch: now}
		})
		if err != nil && !errors.Is(err, ErrLost) {
			t.host.lost(t.session, fmt.Errorf("it does not let go of %v: %w", p, err)) // whatever it holds on to goes with it
		}
	}
}
