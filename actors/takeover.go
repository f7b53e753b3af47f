package actors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"troupe/stages/place"
)

const (
	// againAfter is how long a keeper that finds no device for what was lost waits before it asks all of them again;
	// then it is twice as long each time, up to againLast. A worker that comes back is asked at once.
	againAfter = 300 * time.Millisecond
	againLast  = 5 * time.Second
)

// quarters are where parts have been opened together: a room here, or a troop there.
type quarters struct {
	room  *room
	troop *troop
}

// rehome opens what was lost with workers elsewhere, all of a troop together. It waits until there is a device.
func (k *keeper) rehome(lost []Part, now uint64) (moved []Part, err error) {
	for len(lost) > 0 {
		old := k.troopOf(lost[0])
		parts := k.partsOf(old)
		if err := k.takeOver(old, parts, now); err != nil {
			return nil, err
		}
		moved = append(moved, parts...)
		lost = slices.DeleteFunc(lost, func(p Part) bool {
			return slices.Contains(parts, p) || p.Kind == RouterPart && slices.Contains(parts, Part{Kind: StagePart, Index: p.Index})
		})
	}
	return moved, nil
}

// partsOf lists the parts of a troop but for routers, which are with their stages.
func (k *keeper) partsOf(t *troop) (parts []Part) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p, of := range k.troops {
		if of == t && p.Kind != RouterPart {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, comparePart)
	return parts
}

// takeOver opens parts of a troop that is gone on another device, or on the same when its worker is back. Those that
// are there are asked first; a worker that is silent holds up nobody.
func (k *keeper) takeOver(old *troop, parts []Part, now uint64) error {
	e := k.engine
	select {
	case <-k.back: // who is back has been before
	default:
	}
	for pause := againAfter; ; pause = min(2*pause, againLast) {
		var refusals []error
		for _, device := range k.candidates(old, parts) {
			q, err := k.open(device, parts)
			if err != nil {
				e.log.Info("a device does not take over what was lost", slog.String("device", k.nameOf(device)), slog.Any("error", err))
				refusals = append(refusals, err)
				continue
			}
			if err := k.settle(q, parts, now); err != nil {
				return err
			}
			e.dismiss(old.post)
			e.log.Warn("taken over", slog.Int("parts", len(parts)), slog.String("device", k.nameOf(device)))
			return nil
		}
		k.miss(old, parts, refusals)
		select {
		case <-k.quit:
			return ErrStopped
		case <-e.ended:
			return e.reason
		case <-k.back:
			pause = againAfter / 2
		case <-time.After(pause):
		}
	}
}

// settle gives parts that have been opened their places.
func (k *keeper) settle(q quarters, parts []Part, now uint64) error {
	for _, p := range parts {
		var err error
		switch {
		case q.troop != nil:
			err = k.seatFar(q.troop, p, now)
		case p.Kind == StagePart:
			err = k.seatStage(q.room, p, now)
		default:
			err = k.seatExpert(q.room, p, now)
		}
		if err != nil {
			return err
		}
	}
	k.belong(q, parts)
	return nil
}

// open opens parts on a device that has room for them.
func (k *keeper) open(device int, parts []Part) (q quarters, err error) {
	if err := k.fits(device, parts); err != nil {
		return q, err
	}
	return k.furnish(context.Background(), device, parts)
}

// furnish opens parts on a device, until ctx or the engine ends. They are not in their places yet.
func (k *keeper) furnish(ctx context.Context, device int, parts []Part) (q quarters, err error) {
	ctx, cancel := k.until(ctx)
	defer cancel()
	e := k.engine
	if e.devices[device].host != nil {
		q.troop, err = e.recruit(ctx, device, parts)
		return q, err
	}
	o, c := k.options, e.contents(parts)
	w := o.Weights
	var unload func() error
	if o.Load != nil {
		if w, unload, err = o.Load(ctx, c.spans(), c.has); err != nil {
			return q, err
		}
	}
	q.room, err = e.binder.furnish(ctx, device, w, unload, c)
	return q, err
}

// until is a context that ends with the engine as well.
func (k *keeper) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
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

// close closes quarters in which nobody computes any more.
func (k *keeper) close(q quarters) error {
	ctx, cancel := k.patience(greetPatience)
	defer cancel()
	if q.room != nil {
		return k.engine.binder.clear(ctx, q.room)
	}
	k.engine.dismiss(q.troop.post)
	if q.troop.host.now() != q.troop.session {
		return nil
	}
	return q.troop.host.ask(ctx, q.troop.session, func(number uint64) proto.Message { return q.troop.shut(number) })
}

// candidates are the devices that may take over from a troop, best first: its own, if the worker is back; those that
// have nothing to do; those that have least.
func (k *keeper) candidates(old *troop, parts []Part) (devices []int) {
	load := make([]int, len(k.engine.devices))
	for p, device := range k.where() {
		if !slices.Contains(parts, p) {
			load[device]++
		}
	}
	for i, d := range k.engine.devices {
		if d.host == nil || d.host.now() != 0 {
			devices = append(devices, i)
		}
	}
	rank := func(device int) int {
		if device == old.device {
			return -1
		}
		return load[device]
	}
	slices.SortStableFunc(devices, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return devices
}

// where is the device of each stage and expert. It is the keeper's goroutine's.
func (k *keeper) where() map[Part]int {
	at := map[Part]int{}
	for i, s := range k.engine.seats {
		at[Part{Kind: StagePart, Index: i}] = int(s.device.Load())
	}
	for layer, homes := range k.homes {
		for x, home := range homes {
			at[Part{ExpertPart, layer, x}] = home
		}
	}
	return at
}

// fits refuses parts that a device has no memory for, if it is known how much it has.
func (k *keeper) fits(device int, parts []Part) error {
	have := k.engine.devices[device].Memory
	if have == 0 {
		return nil
	}
	all := slices.Clone(parts)
	for p, at := range k.where() {
		if at == device && !slices.Contains(parts, p) {
			all = append(all, p)
		}
	}
	return k.options.room(k.engine.contents(all), have, k.nameOf(device))
}

// room refuses contents that need more than there is.
func (o *Options) room(c contents, have int64, device string) error {
	q := place.Quantities{Cache: o.cacheSize(), Batches: o.Sched.Batches, Limits: o.Sched.Limits()}
	need := place.Need(o.Model, q, c.spans(), o.Arith, c.has)
	if need.Total() <= have {
		return nil
	}
	return fmt.Errorf("actors: %s: %s of memory, but that would take %s (weights %s, cache %s, batches %s): state more memory, or name another device",
		device, gigabytes(have), gigabytes(need.Total()), gigabytes(need.Weights), gigabytes(need.Cache), gigabytes(need.Batches))
}

func gigabytes(n int64) string { return fmt.Sprintf("%.4g GB", float64(n)/1e9) }

// nameOf is a device for people: local/0, or b:7000/1.
func (k *keeper) nameOf(device int) string { return k.engine.targetOf(device).String() }
