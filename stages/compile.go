package stages

import (
	"errors"
	"fmt"

	"troupe/kernels"
	"troupe/model"
)

// Libraries opens the kernel libraries of one device and compiles against a binding.
type Libraries struct {
	Arith kernels.Arith
	// Wrap, if set before anything is compiled, has every call compiled as a kernel of its own and put in
	// the place of that kernel what it returns. It is for measurements.
	Wrap    Wrap
	binding kernels.Binding
	threads kernels.Threads
	open    map[string]kernels.Library
}

// Wrap makes a kernel that runs another one, which computes one op.
type Wrap func(kernels.Op, kernels.Kernel) kernels.Kernel

// OpenLibraries prepares a device with so many threads; libraries are opened when first needed.
func OpenLibraries(arith kernels.Arith, binding kernels.Binding, threads kernels.Threads) *Libraries {
	return &Libraries{Arith: arith, binding: binding, threads: threads, open: map[string]kernels.Library{}}
}

// Close closes every library that was opened.
func (l *Libraries) Close() error {
	var first error
	for _, lib := range l.open {
		if err := lib.Close(); err != nil && first == nil {
			first = err
		}
	}
	clear(l.open)
	return first
}

// library returns the one bound to an op of a layer.
func (l *Libraries) library(op kernels.Op, layer int) (kernels.Library, error) {
	v, err := kernels.Find(l.binding.Library(op, layer))
	if err != nil {
		return nil, err
	}
	if lib, ok := l.open[v.Name]; ok {
		return lib, nil
	}
	lib, err := v.Open(l.threads)
	if err != nil {
		return nil, fmt.Errorf("stages: library %s: %w", v.Name, err)
	}
	l.open[v.Name] = lib
	return lib, nil
}

var errUnreadable = errors.New("the weights cannot be read: a file of the checkpoint has been cut short, or its disk failed: restore the file and start again")

// segment is a run of calls as kernels, one for each run of calls of one library.
type segment []kernels.Kernel

// A page of the weights that cannot be read any more (the file was cut short, its disk failed) is an
// error where the goroutine has asked for panics on faults, as the lanes of devices do.
func (s segment) run(f *kernels.Frame) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = errUnreadable
		}
	}()
	for _, k := range s {
		if err := k.Run(f); err != nil {
			return err
		}
	}
	return nil
}

// compile cuts calls where the library changes and has each run compiled.
func (l *Libraries) compile(calls []kernels.Call) (segment, error) {
	var seg segment
	for lo := 0; lo < len(calls); {
		lib, err := l.library(calls[lo].Op, calls[lo].Layer)
		if err != nil {
			return nil, err
		}
		hi := lo + 1
		for hi < len(calls) && l.Wrap == nil {
			next, err := l.library(calls[hi].Op, calls[hi].Layer)
			if err != nil {
				return nil, err
			}
			if next != lib {
				break
			}
			hi++
		}
		k, err := lib.Compile(kernels.Segment{Arith: l.Arith, Calls: calls[lo:hi]})
		if err != nil {
			return nil, fmt.Errorf("stages: layer %d: %s: %w", calls[lo].Layer, lib.Info().Name, err)
		}
		if l.Wrap != nil {
			k = l.Wrap(calls[lo].Op, k)
		}
		seg = append(seg, k)
		lo = hi
	}
	return seg, nil
}

// resolve turns steps into calls by finding their weights; find looks one name up.
func resolve(steps []model.Step, layer int, find func(string) (*kernels.Weight, error)) ([]kernels.Call, error) {
	calls := make([]kernels.Call, 0, len(steps))
	for _, s := range steps {
		c := kernels.Call{Op: s.Op, Layer: layer, In: s.In, Out: s.Out, Params: s.Params}
		for _, name := range s.Weights {
			w, err := find(name)
			if err != nil {
				return nil, err
			}
			c.Weights = append(c.Weights, w)
		}
		calls = append(calls, c)
	}
	return calls, nil
}
