package lend

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
)

// server answers the engine's control calls.
type server struct {
	pb.UnimplementedKernelsServer
	name, version string
	variants      []kernels.Variant
	store         store

	mu      sync.Mutex
	library kernels.Library
	kernels map[uint64]kernels.Kernel
}

// store is the memory that the engine has shared.
type store interface {
	part(region, offset, length uint64) ([]byte, error)
	look(id uint64, half bool, arrays, scratch [2]place, length uint64) error
	drop(views, regions []uint64)
}

// place is a part of a region, in bytes.
type place struct{ region, offset, length uint64 }

// maxMessage bounds the text that goes back to the engine.
const maxMessage = 4 << 10

func cut(s string) string { return s[:min(len(s), maxMessage)] }

// Describe is Kernels's.
func (s *server) Describe(context.Context, *pb.Empty) (*pb.Description, error) {
	d := &pb.Description{Name: s.name, Version: s.version}
	for _, v := range s.variants {
		d.Variants = append(d.Variants, describe(v))
	}
	return d, nil
}

func describe(v kernels.Variant) (d *pb.Variant) {
	d = &pb.Variant{Name: v.Name, Doc: v.Doc, Needs: v.Needs, Panels: v.Panels}
	defer func() {
		if p := recover(); p != nil {
			d.Score, d.Error = 0, cut(fmt.Sprint("panic: ", p))
		}
	}()
	if d.Score = int64(v.Score()); d.Score <= 0 {
		return d
	}
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		d.Error = cut(err.Error())
		return d
	}
	d.Info = info(lib.Info())
	if err := lib.Close(); err != nil {
		d.Error = cut(err.Error())
	}
	return d
}

func info(i kernels.Info) *pb.Info {
	p := &pb.Info{Name: i.Name, Doc: i.Doc, Version: i.Version, Promise: uint32(i.Promise)}
	for _, op := range i.Ops {
		p.Ops = append(p.Ops, byte(op))
	}
	return p
}

// Open is Kernels's.
func (s *server) Open(_ context.Context, r *pb.OpenRequest) (*pb.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.library != nil {
		return nil, status.Error(codes.FailedPrecondition, "a variant is open already")
	}
	for _, v := range s.variants {
		if v.Name != r.Variant {
			continue
		}
		t := kernels.Threads{Decode: int(r.DecodeThreads), Prefill: int(r.PrefillThreads)}
		// One more than its threads: those who keep the process answering must not wait for a kernel.
		runtime.GOMAXPROCS(max(t.Decode, t.Prefill, 1) + 1)
		lib, err := v.Open(t)
		if err != nil {
			return nil, status.Error(codes.Unavailable, cut(err.Error()))
		}
		s.library = lib
		return info(lib.Info()), nil
	}
	return nil, status.Error(codes.NotFound, cut(fmt.Sprintf("no variant %q", r.Variant)))
}

func (s *server) opened() (kernels.Library, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.library == nil {
		return nil, status.Error(codes.FailedPrecondition, "no variant is open")
	}
	return s.library, nil
}

// Compile is Kernels's.
func (s *server) Compile(_ context.Context, r *pb.CompileRequest) (*pb.CompileReply, error) {
	lib, err := s.opened()
	if err != nil {
		return nil, err
	}
	seg, err := segment(r, s.store.part)
	var k kernels.Kernel
	if err == nil {
		k, err = compile(lib, seg)
	}
	if err != nil {
		return &pb.CompileReply{Error: cut(err.Error()), NoKernel: errors.Is(err, kernels.ErrNoKernel)}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kernels[r.Kernel] = k
	return &pb.CompileReply{}, nil
}

// compile makes a panic of the library an error: nothing runs yet, so nothing is lost.
func compile(lib kernels.Library, seg kernels.Segment) (k kernels.Kernel, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if k, err = lib.Compile(seg); err == nil && k == nil {
		err = errors.New("neither kernel nor error")
	}
	return k, err
}

// View is Kernels's.
func (s *server) View(_ context.Context, r *pb.ViewRequest) (*pb.Empty, error) {
	at := func(m *pb.Memory) place { return place{m.GetRegion(), m.GetOffset(), m.GetLength()} }
	err := s.store.look(r.View, r.Half, [2]place{at(r.Keys), at(r.Values)}, [2]place{at(r.KeyScratch), at(r.ValueScratch)}, r.Length)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, cut(err.Error()))
	}
	return &pb.Empty{}, nil
}

// closer is what a kernel may have that holds memory.
type closer interface{ Close() error }

// Drop is Kernels's.
func (s *server) Drop(_ context.Context, r *pb.DropRequest) (*pb.Empty, error) {
	var gone []kernels.Kernel
	s.mu.Lock()
	for _, id := range r.Kernels {
		if k := s.kernels[id]; k != nil {
			gone = append(gone, k)
			delete(s.kernels, id)
		}
	}
	s.mu.Unlock()
	var first error
	for _, k := range gone {
		if c, ok := k.(closer); ok {
			first = errors.Join(first, c.Close())
		}
	}
	s.store.drop(r.Views, r.Regions)
	if first != nil {
		return nil, status.Error(codes.Internal, cut(first.Error()))
	}
	return &pb.Empty{}, nil
}

// Close is Kernels's.
func (s *server) Close(context.Context, *pb.Empty) (*pb.Empty, error) {
	lib, err := s.opened()
	if err != nil {
		return nil, err
	}
	if err := lib.Close(); err != nil {
		return nil, status.Error(codes.Internal, cut(err.Error()))
	}
	return &pb.Empty{}, nil
}

// kernel finds a compiled segment.
func (s *server) kernel(id uint64) (kernels.Kernel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kernels[id]
	if k == nil {
		return nil, fmt.Errorf("plugins: kernel %d is unknown", id)
	}
	return k, nil
}
