package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"troupe/ckpt"
)

// ErrMemory says that the machine has not the memory for matrices beside the checkpoint's.
var ErrMemory = errors.New("too little memory")

// WorkOptions bound what is done with a model's matrices.
type WorkOptions struct {
	Workers  int                     // matrices worked on at a time, 1 or more
	Progress func(done, total int64) // bytes; may be nil
	Memory   func() (int64, error)   // bytes that may be taken; nil: ckpt.MemoryAvailable
}

// room is ErrMemory if so many bytes may not be taken; where the system does not know, they may.
func (opt WorkOptions) room(bytes int64) error {
	if opt.Memory == nil {
		opt.Memory = ckpt.MemoryAvailable
	}
	if have, err := opt.Memory(); err == nil && have < bytes {
		return fmt.Errorf("%w: needs %d bytes, the system has %d left", ErrMemory, bytes, have)
	}
	return nil
}

// each does n pieces of work, each in one goroutine; a piece says how many of the total bytes it made. The error is
// the first in their order.
func (opt WorkOptions) each(ctx context.Context, what string, n int, total int64, piece func(i int) (int64, error)) error {
	bad := make([]error, n)
	var next, failed atomic.Int64
	var mu sync.Mutex
	var done int64
	var wg sync.WaitGroup
	for range min(max(opt.Workers, 1), n) {
		wg.Go(func() {
			for ctx.Err() == nil && failed.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				var made int64
				if made, bad[i] = piece(i); bad[i] != nil {
					failed.Add(1)
				}
				if opt.Progress != nil {
					mu.Lock()
					done += made
					opt.Progress(done, total)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: stopped: %w", what, context.Cause(ctx))
	}
	if i := slices.IndexFunc(bad, func(err error) bool { return err != nil }); i >= 0 {
		return bad[i]
	}
	return nil
}
