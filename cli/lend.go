package main

import (
	"context"
	"sync"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
	"troupe/internal/load"
)

// lent is the model directory of a run, for workers that have none. It is looked at when the first of them asks.
type lent struct {
	launch
	opt ckpt.Options

	mu       sync.Mutex
	dir      *mirror.Directory
	manifest []byte
	overlay  []byte
}

func (p *program) lend(l launch) *lent {
	return &lent{launch: l, opt: ckpt.Options{Log: p.logs.part("ckpt")}}
}

// describe finds out what there is, once.
func (l *lent) describe(ctx context.Context) (*mirror.Directory, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir != nil {
		return l.dir, nil
	}
	m, err := load.Describe(ctx, l.launch.dir, l.stored(), l.opt)
	if err != nil {
		return nil, err
	}
	if l.manifest, err = m.Encode(); err != nil {
		return nil, err
	}
	if l.launch.overlay != nil {
		if l.overlay, err = l.launch.overlay.Format(); err != nil {
			return nil, err
		}
	}
	l.dir = mirror.NewDirectory(l.launch.dir, m)
	return l.dir, nil
}

// Manifest is that of the files.
func (l *lent) Manifest(ctx context.Context) ([]byte, error) {
	_, err := l.describe(ctx)
	return l.manifest, err
}

// Overlay is that of the run; nil: it has none.
func (l *lent) Overlay(ctx context.Context) ([]byte, error) {
	_, err := l.describe(ctx)
	return l.overlay, err
}

// Read reads a piece.
func (l *lent) Read(ctx context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error) {
	d, err := l.describe(ctx)
	if err != nil {
		return nil, sum, err
	}
	return d.Read(ctx, file, offset, n)
}

// tellFetching tells of workers that begin to fetch, and have done so.
func (p *program) tellFetching(worker string, done, total int64) {
	switch {
	case total == 0:
	case done == 0:
		p.notice("worker %s fetches %s", worker, humanBytes(total))
	case done == total:
		p.notice("worker %s has fetched %s", worker, humanBytes(total))
	}
}
