//go:build cuda && cgo && linux && (amd64 || arm64)

// Package library is a kernels.Library on one GPU. Weights are uploaded when a segment is compiled and stay there, each
// once; a run uploads the inputs, launches the calls' kernels on one stream and downloads the outputs. Keys and values
// have a mirror on the GPU (mirror.go); the host's cache is the truth.
package library

import (
	"errors"
	"fmt"
	"sync"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// Library is one GPU with the weights of the segments compiled for it.
type Library struct {
	info    kernels.Info
	dev     *device.Device
	kernels table
	threads int // that pack weights

	compile sync.Mutex // one Compile at a time; guards what follows
	weights map[weightKey]*weight
	stager  *stager

	// One Run at a time uses the rest.
	stream  *device.Stream
	frame   frame
	scratch buffer
	mirror  mirror
}

var _ kernels.Library = (*Library)(nil)

// Open takes a GPU and loads its kernels.
func Open(name string, ordinal int, t kernels.Threads) (*Library, error) {
	images, err := compiled()
	if err != nil {
		return nil, err
	}
	dev, err := device.Open(ordinal, images)
	if err != nil {
		return nil, err
	}
	l := &Library{dev: dev, threads: max(t.Decode, t.Prefill, 1), weights: map[weightKey]*weight{}}
	l.info = kernels.Info{Name: name, Doc: dev.Info.Name + ", weights in its memory", Version: "1", Promise: kernels.Close}
	for op := range kernels.NumOps {
		l.info.Ops = append(l.info.Ops, op)
	}
	if err := l.open(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Library) open() (err error) {
	if err := l.dev.Enter(); err != nil {
		return err
	}
	defer l.dev.Leave()
	if err := l.kernels.load(l.dev); err != nil {
		return err
	}
	if l.stream, err = l.dev.NewStream(); err != nil {
		return err
	}
	l.frame.arena.dev, l.scratch.dev, l.mirror.dev = l.dev, l.dev, l.dev
	l.stager, err = newStager(l.dev, l.threads)
	return err
}

// Info describes the library. It promises close results, until a GPU has been seen to give the bits of kernels/ref.
func (l *Library) Info() kernels.Info { return l.info }

// Close gives everything on the GPU back.
func (l *Library) Close() error {
	var errs []error
	if l.dev.Enter() == nil {
		for _, w := range l.weights {
			errs = append(errs, l.dev.Free(w.data))
		}
		errs = append(errs, l.mirror.drop(), l.scratch.free(), l.frame.arena.free(), l.stager.close())
		if l.stream != nil {
			errs = append(errs, l.stream.Close())
		}
		l.dev.Leave()
	}
	return errors.Join(append(errs, l.dev.Close())...)
}

// Compile uploads the segment's weights. Where they do not fit the error is a *device.FullError, and nothing has been
// taken.
func (l *Library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	if s.Arith != kernels.Exact && s.Arith != kernels.Int8 {
		return nil, fmt.Errorf("cuda: arithmetic %v: %w", s.Arith, kernels.ErrNoKernel)
	}
	for i := range s.Calls {
		if err := check(&s, i); err != nil {
			return nil, err
		}
	}
	l.compile.Lock()
	defer l.compile.Unlock()
	if err := l.dev.Enter(); err != nil {
		return nil, err
	}
	defer l.dev.Leave()
	k := &kernel{lib: l}
	if err := l.upload(&s, k); err != nil {
		return nil, err
	}
	k.plan(&s)
	for i := range s.Calls {
		c := &s.Calls[i]
		k.steps = append(k.steps, steps[c.Op](k, c, s.Arith))
	}
	return k, nil
}

// kernel is a compiled segment.
type kernel struct {
	lib     *Library
	steps   []step
	calls   []kernels.Call
	held    []*weight // in use by this kernel
	current map[*kernels.Weight]*weight
	rope    map[*kernels.Rope]*weight
	slots   []slotUse
	needs   needs
}

// step is one call.
type step interface {
	// scratch says how many bytes of scratch memory the call needs for a frame, or what is wrong with the frame.
	scratch(f *frame) (int, error)
	// run launches the call's kernels.
	run(f *frame) error
}

// Run computes the calls. When it fails nothing of the frame was written, and the mirror of the cache is given up.
func (k *kernel) Run(in *kernels.Frame) error {
	l := k.lib
	if err := l.dev.Enter(); err != nil {
		return err
	}
	defer l.dev.Leave()
	err := k.run(in)
	l.frame.in = nil
	if err != nil {
		l.mirror.forget()
	}
	return err
}

func (k *kernel) run(in *kernels.Frame) error {
	l, f := k.lib, &k.lib.frame
	f.in = in
	if err := f.begin(k); err != nil {
		return err
	}
	most := 0
	for _, s := range k.steps {
		n, err := s.scratch(f)
		if err != nil {
			return err
		}
		most = max(most, n)
	}
	if err := l.scratch.atLeast("scratch memory", most); err != nil {
		return err
	}
	if err := f.send(k); err != nil {
		return err
	}
	for _, s := range k.steps {
		if err := s.run(f); err != nil {
			l.stream.Wait() // what runs reads the arena
			return err
		}
	}
	if err := f.receive(k); err != nil {
		return err
	}
	for i := range k.calls {
		if c := &k.calls[i]; c.Op == kernels.Attend {
			l.mirror.commit(c, in)
		}
	}
	return nil
}

// Close lets go of the segment's weights; those that no other segment uses leave the GPU.
func (k *kernel) Close() error {
	l := k.lib
	l.compile.Lock()
	defer l.compile.Unlock()
	if err := l.dev.Enter(); err != nil {
		return err
	}
	defer l.dev.Leave()
	return l.release(k)
}
