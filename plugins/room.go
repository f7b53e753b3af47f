package plugins

import "troupe/plugins/internal/shm"

// room is where frames and what kernels write lie. It grows by doubling.
type room struct {
	shared *shared
	memory *shm.Memory
	region uint64
}

const firstRoom = 1 << 20

// reserve makes room for so many bytes; old is the number of a region that is of no more use, or 0.
func (r *room) reserve(n int) (old uint64, err error) {
	if r.memory != nil && n <= len(r.memory.Bytes) {
		return 0, nil
	}
	size := firstRoom
	if r.memory != nil {
		size = len(r.memory.Bytes)
	}
	for size < n {
		size *= 2
	}
	memory, region, err := r.shared.lend(purpose{name: "exchange", writable: true}, size)
	if err != nil {
		return 0, err
	}
	old = r.region
	_ = r.memory.Close()
	r.memory, r.region = memory, region
	return old, nil
}

func (r *room) close() {
	_ = r.memory.Close()
	r.memory = nil
}
