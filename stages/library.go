package stages

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"troupe/kernels"
	"troupe/model"
)

// Libraries opens the kernel libraries of one device and compiles what the device computes. One goroutine at
// a time uses it; once the device runs that need not be its lane: what the lane uses is in Programs.
type Libraries struct {
	Arith kernels.Arith
	// Wrap, if set before anything is compiled, has every call compiled as a kernel of its own and put in
	// the place of that kernel what it returns. It is for measurements.
	Wrap Wrap
	// Limits are those of the batches to come. They are needed where two libraries are compared.
	Limits Limits
	// Verify is Bindings.Verify of generation 0.
	Verify float64

	threads  kernels.Threads
	open     map[string]*library // by variant
	all      []*library          // those that have been given up, too
	units    map[unitKey]*unit
	counters map[string]*Counters // by variant: those of libraries opened again go on
	sites    []site
	slots    []model.SlotSpec
	shadow   *shadow // nil until needed
	lane     *Programs
	first    *Program // generation 0, to which opening adds
}

// Wrap makes a kernel that runs another one, which computes one op.
type Wrap func(kernels.Op, kernels.Kernel) kernels.Kernel

// OpenLibraries prepares a device with so many threads; libraries are opened when first needed. What is then
// opened with it is generation 0, under the binding.
func OpenLibraries(arith kernels.Arith, binding kernels.Binding, threads kernels.Threads) *Libraries {
	l := &Libraries{Arith: arith, threads: threads, open: map[string]*library{}, units: map[unitKey]*unit{},
		counters: map[string]*Counters{}, lane: &Programs{}}
	l.first = l.newProgram(0, Bindings{Serve: binding})
	l.lane.Install(l.first)
	return l
}

// Programs is what the lane of the device has of it.
func (l *Libraries) Programs() *Programs { return l.lane }

// First is the program of generation 0.
func (l *Libraries) First() *Program { return l.first }

// Close closes every library that was opened, and what comparing needed.
func (l *Libraries) Close() error {
	var errs []error
	for _, lib := range l.all {
		errs = append(errs, lib.close())
	}
	if l.shadow != nil {
		errs = append(errs, l.shadow.arena.Close())
	}
	l.all, l.shadow = nil, nil
	clear(l.open)
	return errors.Join(errs...)
}

// library is one that is open.
type library struct {
	kernels.Library
	name    string // of the variant
	promise kernels.Promise
	several kernels.Several // nil: it runs one kernel at a time
	refs    int             // units

	// The lane's.
	count *Counters
	// failed tells that it has failed where another one could compute: while there is another one, it is left alone.
	failed bool
}

func (lib *library) close() error {
	if err := lib.Close(); err != nil {
		return fmt.Errorf("stages: library %s: close: %w", lib.name, err)
	}
	return nil
}

// PID is the process of a library that lives in one of its own; 0: in this one.
func (lib *library) PID() int {
	if p, ok := lib.Library.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

func (l *Libraries) library(name string) (*library, error) {
	if lib, ok := l.open[name]; ok {
		return lib, nil
	}
	v, err := kernels.Find(name)
	if err != nil {
		return nil, err
	}
	opened, err := v.Open(l.threads)
	if err != nil {
		return nil, fmt.Errorf("stages: library %s: %w", v.Name, err)
	}
	if l.counters[name] == nil {
		l.counters[name] = &Counters{Library: name}
	}
	lib := &library{Library: opened, name: name, promise: opened.Info().Promise, count: l.counters[name]}
	if l.Wrap == nil {
		lib.several, _ = opened.(kernels.Several)
	}
	l.open[name], l.all = lib, append(l.all, lib)
	return lib, nil
}

// unit is a piece as one library computes it.
type unit struct {
	unitKey
	kernel kernels.Kernel
	close  io.Closer // of a kernel that must be closed; nil: it need not
	refs   int       // pieces of programs
}

type unitKey struct {
	lib          *library
	site, lo, hi int // the calls
}

// unit compiles calls of a site, or finds them compiled.
func (l *Libraries) unit(name string, at, lo, hi int) (*unit, error) {
	lib, err := l.library(name)
	if err != nil {
		return nil, err
	}
	key := unitKey{lib, at, lo, hi}
	if u := l.units[key]; u != nil {
		u.refs++
		return u, nil
	}
	calls := l.sites[at].calls[lo:hi]
	k, err := lib.Compile(kernels.Segment{Arith: l.Arith, Calls: calls})
	if errors.Is(err, kernels.ErrNoKernel) {
		return nil, fmt.Errorf("stages: layer %d: %s: %w: bind to it only the ops that `troupe kernels list` shows", calls[0].Layer, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("stages: layer %d: %s: %w", calls[0].Layer, name, err)
	}
	u := &unit{unitKey: key, kernel: k, refs: 1}
	u.close, _ = k.(io.Closer)
	if l.Wrap != nil {
		u.kernel = l.Wrap(calls[0].Op, k)
	}
	lib.refs++
	l.units[key] = u
	return u, nil
}

// Release gives back what a program holds, once the lane has dropped it or if it never had it. Libraries that
// no program uses any more are closed.
func (l *Libraries) Release(p *Program) error {
	var errs []error
	for _, seg := range p.segments {
		for i := range seg {
			for _, u := range seg[i].chain {
				errs = append(errs, l.put(u))
			}
			if seg[i].trial != nil {
				errs = append(errs, l.put(seg[i].trial))
			}
		}
	}
	p.segments = nil
	l.all = slices.DeleteFunc(l.all, func(lib *library) bool {
		if lib.refs > 0 {
			return false
		}
		if l.open[lib.name] == lib {
			delete(l.open, lib.name)
		}
		errs = append(errs, lib.close())
		return true
	})
	return errors.Join(errs...)
}

func (l *Libraries) put(u *unit) error {
	if u.refs--; u.refs > 0 {
		return nil
	}
	u.lib.refs--
	delete(l.units, u.unitKey)
	if u.close == nil {
		return nil
	}
	return u.close.Close()
}

// Held is how many compiled pieces programs hold.
func (l *Libraries) Held() int { return len(l.units) }

// GiveUp has the library that a report blames opened anew when it is next needed, unless it has been already.
func (l *Libraries) GiveUp(r Report) {
	if r.library != nil && l.open[r.Library] == r.library {
		delete(l.open, r.Library)
	}
}

// Distrust is GiveUp for a library that was found wrong on another device.
func (l *Libraries) Distrust(name string) { delete(l.open, name) }
