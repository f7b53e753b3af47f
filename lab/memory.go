package lab

import (
	"context"
	"sync"
)

// memory is a budget of bytes. One goroutine gets, any put.
type memory struct {
	mu    sync.Mutex
	left  int64
	freed chan struct{} // holds one token when some may have been put
}

// get waits for n bytes, at most what there was at the beginning; false: ctx has ended before.
func (m *memory) get(ctx context.Context, n int64) bool {
	for ctx.Err() == nil {
		if m.take(n) {
			return true
		}
		select {
		case <-m.freed:
		case <-ctx.Done():
		}
	}
	return false
}

func (m *memory) take(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left < n {
		return false
	}
	m.left -= n
	return true
}

func (m *memory) put(n int64) {
	m.mu.Lock()
	m.left += n
	m.mu.Unlock()
	select {
	case m.freed <- struct{}{}:
	default:
	}
}
