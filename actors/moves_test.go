package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/router"
)

// Stages and experts move between devices of this process and of workers while requests run: no byte changes, every row
// is counted once, nothing is left where they were.
func TestMovesChangeNothing(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	requests := routedAsks(t)
	want, counted := undisturbed(t, kernels.Int8, requests)
	for seed := range uint64(share(12)) {
		for _, spread := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed=%d,spread=%v", seed, spread), func(t *testing.T) {
				c := newCompanyOf(t, routedModel(Options{Model: toy.Config()}).Model, w, 2)
				o := routedModel(c.shared(t, spread))
				o.Placement.Devices = append(o.Placement.Devices[:2:2], o.Placement.Devices[1])
				o.Placement.Stages[2].Device = 2
				e := start(t, o)
				rng := rand.New(rand.NewPCG(seed, 1))
				ctx, cancel := context.WithCancel(t.Context())
				moved := make(chan int)
				go func() {
					n := 0
					for ; ctx.Err() == nil; n++ {
						moveOne(t, e, rng)
					}
					moved <- n
				}()
				var before router.Counters
				for turn := range 3 {
					same(t, told(t, e, requests), want)
					count, err := e.Routing(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if got := count.Sub(&before); !reflect.DeepEqual(got, counted) {
						t.Errorf("turn %d: routing is counted otherwise than without moves", turn)
					}
					before = count
				}
				cancel()
				if n := <-moved; n == 0 {
					t.Error("nothing has moved")
				}
				allHome(t, e)
			})
		}
	}
}

// moveOne moves a part, whichever, to a device, whichever.
func moveOne(t *testing.T, e *Engine, rng *rand.Rand) {
	parts := slices.DeleteFunc(e.keeper.parts(), func(p Part) bool { return p.Kind == RouterPart })
	to := e.targetOf(rng.IntN(len(e.devices)))
	p := parts[rng.IntN(len(parts))]
	if rng.IntN(2) == 0 {
		p = Part{Kind: StagePart, Index: rng.IntN(len(e.seats))}
	}
	m, err := e.Move(context.Background(), p, to)
	if err != nil && !strings.Contains(err.Error(), "it is there") && !errors.Is(err, ErrStopped) {
		t.Errorf("move: %v", err)
	}
	if err == nil && !slices.Contains(m.Parts, p) {
		t.Errorf("%v has moved with %v", p, m.Parts)
	}
}

// allHome moves everything to the first device, and looks whether anything is left elsewhere.
func allHome(t *testing.T, e *Engine) {
	t.Helper()
	to := Target{}
	for _, p := range e.keeper.parts() {
		if p.Kind == RouterPart {
			continue
		}
		if _, err := e.Move(t.Context(), p, to); err != nil && !strings.Contains(err.Error(), "it is there") {
			t.Error(err)
		}
	}
	if n := len(e.keeper.crews()); n != 0 {
		t.Errorf("%d crews are left on workers", n)
	}
	for _, r := range e.rooms.all() {
		if r != nil && e.devices[r.device] != e.devices[1] {
			t.Errorf("a room is left on device %d", r.device)
		}
	}
}

// A move that cannot be is refused, and changes nothing.
func TestMoveRefused(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	c := newCompany(t, w, 1)
	o := c.shared(t, true)
	small(&o)
	e := start(t, o)
	fire(t, c.workers[0])
	missing(t, e)
	c.hire(t, 0)
	compare(t, serve(t, e, asks(t)), loopOutcomes(t, w, kernels.Int8))
	there := Target{Host: address(0)}
	for _, m := range []struct {
		part Part
		to   Target
		want string
	}{
		{Part{Kind: RouterPart}, there, "a router moves with its stage"},
		{Part{Kind: StagePart, Index: 3}, there, "there are 0 to 2"},
		{Part{ExpertPart, 3, 0}, there, "0.0 to 2.4"},
		{Part{Kind: StagePart}, there, "it is there"},
		{Part{Kind: StagePart}, Target{Number: 1}, "there is no device local/1: there are w0:1/0, local/0, w0:1/1"},
		{Part{Kind: StagePart}, Target{}, "of memory, but that would take"},
	} {
		if _, err := e.Move(t.Context(), m.part, m.to); err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%v to %v: %v, want %q", m.part, m.to, err, m.want)
		}
	}
	compare(t, serve(t, e, asks(t)), loopOutcomes(t, w, kernels.Int8))
}
