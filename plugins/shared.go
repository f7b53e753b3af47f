package plugins

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"troupe/plugins/internal/shm"
	"troupe/tensor"
)

// shared knows which memory the plugin has been given: regions of the engine, read-only, and memory made for the
// exchange. Numbers of the former are even, of the latter odd.
type shared struct {
	process *process
	own     atomic.Uint64

	send sync.Mutex // the socket

	mu    sync.RWMutex
	given map[uint64]*tensor.Region
}

func newShared(p *process) *shared { return &shared{process: p, given: map[uint64]*tensor.Region{}} }

// sendTime bounds the sending of a descriptor; a plugin takes them all the time.
const sendTime = time.Second

// locate finds a slice in a region, which it gives the plugin if it does not have it yet. ok is false when the
// slice is memory of this process alone.
func locate[T any](s *shared, mem []T) (region uint64, offset int, ok bool, err error) {
	r, offset, ok := tensor.RegionOf(mem)
	if !ok {
		return 0, 0, false, nil
	}
	region = 2 * r.ID
	s.mu.RLock()
	_, has := s.given[region]
	s.mu.RUnlock()
	if !has {
		err = s.give(region, r)
	}
	return region, offset, err == nil, err
}

func (s *shared) give(id uint64, r *tensor.Region) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given[id] != nil {
		return nil
	}
	f, err := r.File()
	if err != nil {
		return fmt.Errorf("plugins: %w", err)
	}
	defer f.Close()
	if err := s.parcel(shm.Parcel{ID: id, Size: r.Size, Keep: true, File: f}); err != nil {
		return fmt.Errorf("plugins: region %s: %w", r.Name, err)
	}
	s.given[id] = r
	return nil
}

func (s *shared) parcel(p shm.Parcel) error {
	s.send.Lock()
	defer s.send.Unlock()
	if err := s.process.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	return shm.Send(s.process.conn, p)
}

// purpose is what memory is made for.
type purpose struct {
	name     string
	writable bool // by the plugin
	view     bool // it becomes part of views
}

// lend makes memory and gives it to the plugin.
func (s *shared) lend(p purpose, size int) (*shm.Memory, uint64, error) {
	m, err := shm.New(p.name, size, p.writable)
	if err != nil {
		return nil, 0, err
	}
	id := 2*s.own.Add(1) + 1
	f, err := m.File()
	if err == nil {
		defer f.Close()
		err = s.parcel(shm.Parcel{ID: id, Size: len(m.Bytes), Writable: p.writable, Keep: p.view, File: f})
	}
	if err != nil {
		m.Close()
		return nil, 0, fmt.Errorf("plugins: %s: %w", p.name, err)
	}
	return m, id, nil
}

// stale tells whether the engine has closed a region that the plugin still has.
func (s *shared) stale() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.given {
		if r.Closed() {
			return true
		}
	}
	return false
}

// closed takes regions off the list that the engine has closed.
func (s *shared) closed() (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.given {
		if r.Closed() {
			ids = append(ids, id)
			delete(s.given, id)
		}
	}
	return ids
}
