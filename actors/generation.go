package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"troupe/kernels"
	"troupe/stages"
)

// compile has every device compile a generation, off its lane.
func (b *binder) compile(bs stages.Bindings) (generation, error) {
	b.last++
	rooms := b.engine.rooms.all()
	g := generation{number: b.last, Bindings: bs, programs: make([]*stages.Program, len(rooms))}
	errs := make([]error, len(rooms))
	b.aside(func() {
		var wg sync.WaitGroup
		for i, r := range rooms {
			if r != nil {
				wg.Go(func() { g.programs[i], errs[i] = r.libs.Compile(g.number, bs) })
			}
		}
		wg.Wait()
	})
	if err := firstOf(rooms, errs); err != nil {
		b.release(g)
		return generation{}, err
	}
	return g, nil
}

// firstOf is the first error: a library is mostly missing on all devices for the same reason.
func firstOf(rooms []*room, errs []error) error {
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("actors: device %d: %w", rooms[i].device, err)
		}
	}
	return nil
}

// bind gives every lane its program, and then has new batches belong to the generation.
func (b *binder) bind(g generation, serve kernels.Binding) {
	b.lanes(func(r *room) { r.libs.Programs().Install(g.of(r.index)) })
	b.live, b.current, b.next = append(b.live, g), g.number, 0
	b.suspects.serving(g.number, serve.String(), g.serving())
	b.ledger.bind(g.number)
}

// begin compiles and binds.
func (b *binder) begin(bs stages.Bindings) error {
	g, err := b.compile(bs)
	if err == nil {
		b.bind(g, bs.Serve)
	}
	return err
}

// adopt takes over what opening the devices has compiled.
func (b *binder) adopt() {
	g := generation{Bindings: stages.Bindings{Serve: b.serve, Verify: b.options.VerifyFraction}}
	for _, r := range b.engine.rooms.all() {
		g.programs = append(g.programs, r.libs.First())
	}
	b.live = append(b.live, g)
	b.suspects.serving(0, b.serve.String(), g.serving())
}

// serving lists the libraries that serve on any device.
func (g generation) serving() (names []string) {
	for _, p := range g.programs {
		if p != nil {
			names = union(names, p.Serving())
		}
	}
	slices.Sort(names)
	return names
}

// drop gives back generations whose last batch has come home.
func (b *binder) drop() {
	for _, number := range b.ledger.drained() {
		at := slices.IndexFunc(b.live, func(g generation) bool { return g.number == number })
		g := b.live[at]
		b.live = slices.Delete(b.live, at, at+1)
		b.lanes(func(r *room) { r.libs.Programs().Drop(g.of(r.index)) })
		b.release(g)
	}
}

// release gives back programs that no lane has.
func (b *binder) release(g generation) {
	rooms, errs := b.engine.rooms.all(), make([]error, len(g.programs))
	b.aside(func() {
		var wg sync.WaitGroup
		for i, p := range g.programs {
			if p != nil {
				wg.Go(func() { errs[i] = rooms[i].libs.Release(p) })
			}
		}
		wg.Wait()
	})
	if err := errors.Join(errs...); err != nil {
		b.engine.log.Warn("closing libraries", slog.Any("error", err))
	}
}

// lanes does something with every room, each on its lane, and waits for it.
func (b *binder) lanes(f func(r *room)) {
	var wg sync.WaitGroup
	for _, r := range b.engine.rooms.all() {
		if r != nil {
			wg.Go(func() { r.lane.do(func() { f(r) }) })
		}
	}
	wg.Wait()
}

// of is the program of a room, nil if there is none.
func (g *generation) of(room int) *stages.Program {
	if room >= len(g.programs) {
		return nil
	}
	return g.programs[room]
}

// put notes the program of a room.
func (g *generation) put(room int, p *stages.Program) {
	for len(g.programs) <= room {
		g.programs = append(g.programs, nil)
	}
	g.programs[room] = p
}

// tally adds up what comparing has shown on all devices in the current generation.
func (b *binder) tally() (all stages.Tally) {
	tallies := make([]stages.Tally, len(b.engine.rooms.all()))
	b.lanes(func(r *room) { tallies[r.index] = r.libs.Programs().Tally(b.current) })
	for _, t := range tallies {
		all.Add(t)
	}
	return all
}

// behind is what to go back to from a binding that has nothing before it: the same with lent libraries replaced
// by the best of those that are built in. nil: it names no lent one.
func (b *binder) behind(k kernels.Binding) *kernels.Binding {
	built, changed, err := builtIn(k, b.layers)
	if !changed || err != nil {
		return nil
	}
	return &built
}

func builtIn(k kernels.Binding, layers int) (built kernels.Binding, changed bool, err error) {
	best, err := kernels.Find("")
	if err != nil {
		return k, false, err
	}
	names := map[string]string{}
	for _, bound := range append(k.Libraries(), "") {
		v, err := kernels.Find(bound)
		if names[bound] = v.Name; err != nil || kernels.Lent(v.Name) {
			names[bound], changed = best.Name, true
		}
	}
	if !changed {
		return k, false, nil
	}
	name := func(op kernels.Op, layer int) string { return names[k.Library(op, layer)] }
	var entries strings.Builder
	for op := range kernels.NumOps {
		everywhere := name(op, -1)
		fmt.Fprintf(&entries, "%v=%s,", op, everywhere)
		for lo := 0; lo < layers; {
			hi := lo + 1
			for hi < layers && name(op, hi) == name(op, lo) {
				hi++
			}
			if n := name(op, lo); n != everywhere {
				fmt.Fprintf(&entries, "%v@%d-%d=%s,", op, lo, hi-1, n)
			}
			lo = hi
		}
	}
	built, err = kernels.ParseBinding(entries.String())
	return built, changed, err
}
