package ckpt

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// defaultParallel keeps a disk's queue busy; more gains nothing on one disk and costs seeks on a slow one.
const defaultParallel = 8

// Options is what Open, Scan and Write have in common. The zero value works.
type Options struct {
	// Parallel is the number of files worked on at a time; 0 means 8.
	Parallel int
	// Progress is told of bytes done; calls never overlap, done never falls, the last has done == total.
	// It is called from worker goroutines and should return soon.
	Progress func(done, total int64)
	// Log gets a line per decision that a person would want to know; nil drops them.
	Log *slog.Logger
	// Prefault makes Open bring every page into memory, and check the values of large float32 arrays
	// too. Without it the first use of each page waits for the disk.
	Prefault bool
	// SkipInt8 leaves int8 matrices out of Prefault, for a caller that reads each once, by Through.
	SkipInt8 bool
	// Need tells which arrays Open is to read, for a process that computes with a part of a model: tensor is the place
	// in the list, expert -1 for a tensor without experts. The others are Tensor.Absent, and a file of which nothing
	// is needed is not opened and may be missing. nil: everything.
	Need func(tensor, expert int) bool
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// job is one pass over the files of a checkpoint.
type job struct {
	opt        Options
	what       string             // for the error when it is stopped: "check the values"
	tensor     func(i int) string // names for errors
	file       func(i int) string // nil: tensor i has a file of its own
	stopAtFail bool               // hand out no file after one has failed
}

// each calls do(0) … do(n-1) from opt.Parallel goroutines and returns when all that began are done. Files
// are handed out in order, none after ctx ends. The error is that ctx has ended, or else that of the first
// file that failed: those before it have all been done, so it does not depend on the workers' order.
func (j job) each(ctx context.Context, n int, do func(i int) error) error {
	workers := j.opt.Parallel
	if workers <= 0 {
		workers = defaultParallel
	}
	bad := make([]error, n)
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for ctx.Err() == nil && !(j.stopAtFail && failed.Load()) {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if bad[i] = do(i); bad[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if err := cancelled(ctx, j.what); err != nil {
		return err
	}
	file := j.file
	if file == nil {
		file = fileName
	}
	return firstOf(collectIn(bad, file, j.tensor))
}

// noNames is for passes that have no list of tensors.
func noNames(int) string { return "" }

// cancelled is nil while ctx lives.
func cancelled(ctx context.Context, what string) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("ckpt: %s: stopped: %w", what, context.Cause(ctx))
}

// meter adds up the bytes of all workers for Options.Progress.
type meter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

func newMeter(opt Options, total int64) *meter { return &meter{total: total, report: opt.Progress} }

func (m *meter) add(n int64) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.report(m.done, m.total)
}
