package plugins

import (
	"context"
	"sync"
	"time"

	"troupe/plugins/internal/pb"
)

// trash is what the plugin can forget when it is next told.
type trash struct {
	mu      sync.Mutex
	held    []*held
	views   []uint64
	regions []uint64
}

// add is called for a kernel that is no more, and returns how many there are.
func (t *trash) add(h *held) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = append(t.held, h)
	return len(t.held)
}

// forget is for views and regions.
func (t *trash) forget(views, regions []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.views, t.regions = append(t.views, views...), append(t.regions, regions...)
}

const (
	trashMin = 32 // kernels that are worth a call
	dropTime = 5 * time.Second
)

// collect has the plugin forget what is of no use. Errors are no matter: a plugin that does not answer will be
// found out by the next call that matters.
func (l *Library) collect(all bool) {
	t := &l.trash
	if l.shared.stale() {
		regions := l.shared.closed()
		l.lane.Lock()
		views := l.caches.without(regions)
		l.lane.Unlock()
		t.forget(views, regions)
	}
	t.mu.Lock()
	if !all && len(t.held) < trashMin && len(t.views)+len(t.regions) == 0 {
		t.mu.Unlock()
		return
	}
	r := &pb.DropRequest{Views: t.views, Regions: t.regions}
	for _, h := range t.held {
		r.Kernels = append(r.Kernels, h.kernel)
		r.Regions = append(r.Regions, l.consts.release(h.constants)...)
	}
	t.held, t.views, t.regions = nil, nil, nil
	t.mu.Unlock()
	if l.Exited() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	_, _ = l.process.control.Drop(ctx, r)
}
