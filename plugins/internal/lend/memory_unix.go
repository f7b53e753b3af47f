//go:build unix

package lend

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"troupe/kernels"
	"troupe/plugins/internal/shm"
	"troupe/tensor"
)

// arrival bounds the time between a region's name and its descriptor, which come by different ways.
const arrival = 5 * time.Second

// memory is what the engine has shared: regions by number, and views of caches made of them.
type memory struct {
	mu      sync.Mutex
	arrived sync.Cond
	regions map[uint64]*region
	views   map[uint64]*view
}

type region struct {
	mem  []byte
	file *os.File // for views; nil: not kept
	err  error    // why it could not be mapped
}

// view is a layer's cache with scratch behind: what was reserved for keys and values.
type view struct {
	layer  kernels.CacheLayer
	ranges [2][]byte
}

func newMemory() *memory {
	m := &memory{regions: map[uint64]*region{}, views: map[uint64]*view{}}
	m.arrived.L = &m.mu
	return m
}

// receive takes regions from the socket until it ends.
func (m *memory) receive(c *net.UnixConn) error {
	for {
		p, err := shm.Receive(c)
		if err != nil {
			return err
		}
		r := &region{file: p.File}
		if r.mem, err = shm.Map(p.File, 0, p.Size, p.Writable); err != nil {
			r.err = fmt.Errorf("plugins: region %d of %d bytes: %w", p.ID, p.Size, err)
		}
		if !p.Keep {
			p.File.Close()
			r.file = nil
		}
		m.mu.Lock()
		m.regions[p.ID] = r
		m.arrived.Broadcast()
		m.mu.Unlock()
	}
}

// find waits for a region.
func (m *memory) find(id uint64) (*region, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.regions[id] == nil {
		late := false
		timer := time.AfterFunc(arrival, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			late = true
			m.arrived.Broadcast()
		})
		defer timer.Stop()
		for m.regions[id] == nil && !late {
			m.arrived.Wait()
		}
	}
	r := m.regions[id]
	if r == nil {
		return nil, fmt.Errorf("plugins: region %d has not come", id)
	}
	return r, r.err
}

// Region is wire.Memory's.
func (m *memory) Region(id uint64) ([]byte, error) {
	r, err := m.find(id)
	if err != nil {
		return nil, err
	}
	return r.mem, nil
}

// View is wire.Memory's.
func (m *memory) View(id uint64) (kernels.CacheLayer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.views[id]
	if v == nil {
		return kernels.CacheLayer{}, fmt.Errorf("plugins: view %d is unknown", id)
	}
	return v.layer, nil
}

// part is a part of a region.
func (m *memory) part(region, offset, length uint64) ([]byte, error) {
	mem, err := m.Region(region)
	if err != nil || length == 0 {
		return nil, err
	}
	if offset > uint64(len(mem)) || length > uint64(len(mem))-offset {
		return nil, fmt.Errorf("plugins: %d bytes at %d of region %d, which has %d", length, offset, region, len(mem))
	}
	return mem[offset : offset+length : offset+length], nil
}

// drop gives memory back; nothing of it is in use.
func (m *memory) drop(views, regions []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range views {
		if v := m.views[id]; v != nil {
			v.close()
			delete(m.views, id)
		}
	}
	for _, id := range regions {
		if r := m.regions[id]; r != nil {
			if r.err == nil {
				_ = shm.Unmap(r.mem)
			}
			if r.file != nil {
				r.file.Close()
			}
			delete(m.regions, id)
		}
	}
}

func (v *view) close() {
	for _, r := range v.ranges {
		if r != nil {
			_ = shm.Unmap(r)
		}
	}
}

// join makes one run of addresses of an array's pages and of scratch pages behind them, and returns length
// bytes from the array's beginning on.
func (m *memory) join(array, scratch place, length uint64) (whole, seen []byte, err error) {
	a, err := m.find(array.region)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.find(scratch.region)
	if err != nil {
		return nil, nil, err
	}
	if a.file == nil || s.file == nil {
		return nil, nil, fmt.Errorf("plugins: a view of regions %d and %d, which are not for views", array.region, scratch.region)
	}
	page := uint64(os.Getpagesize())
	from := array.offset / page * page
	pages := shm.Pages(int(array.offset - from + array.length))
	size := uint64(pages) + scratch.length
	if array.offset > uint64(len(a.mem)) || array.length > uint64(len(a.mem))-array.offset ||
		scratch.offset > uint64(len(s.mem)) || scratch.length > uint64(len(s.mem))-scratch.offset || length > size-(array.offset-from) {
		return nil, nil, fmt.Errorf("plugins: a view of %d bytes of %+v and %+v: out of bounds", length, array, scratch)
	}
	if whole, err = shm.Reserve(int(size)); err != nil {
		return nil, nil, err
	}
	if err = shm.Place(whole, 0, a.file, int64(from), pages, false); err == nil {
		err = shm.Place(whole, pages, s.file, int64(scratch.offset), int(scratch.length), true)
	}
	if err != nil {
		_ = shm.Unmap(whole)
		return nil, nil, err
	}
	first := array.offset - from
	return whole, whole[first : first+length : first+length], nil
}

// look makes a view.
func (m *memory) look(id uint64, half bool, arrays, scratch [2]place, length uint64) error {
	v := &view{}
	var seen [2][]byte
	for i := range arrays {
		var err error
		if v.ranges[i], seen[i], err = m.join(arrays[i], scratch[i], length); err != nil {
			v.close()
			return err
		}
	}
	if half {
		v.layer.K16, v.layer.V16 = halves(seen[0]), halves(seen[1])
	} else {
		v.layer.K32, _ = tensor.Float32s(seen[0])
		v.layer.V32, _ = tensor.Float32s(seen[1])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.views[id] != nil {
		v.close()
		return fmt.Errorf("plugins: view %d is there already", id)
	}
	m.views[id] = v
	return nil
}
