package plugins

import (
	"bytes"
	"sync"
	"unsafe"

	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/shm"
)

// constants are weights and tables that lie in no region of the engine: copies that the plugin maps read-only,
// shared by the kernels that use them.
type constants struct {
	shared *shared
	mu     sync.Mutex
	byKey  map[constantKey]*constant
	blocks map[*block]bool
	held   int64 // bytes
}

// constantKey is where the original lies. Memory can be given back and taken again for something else, so that
// equal keys do not make equal contents: they are compared.
type constantKey struct {
	at     uintptr
	length int
}

type constant struct {
	key    constantKey
	block  *block
	offset int
	uses   int // by kernels
}

// block is one piece of shared memory: all that a segment needed anew.
type block struct {
	memory *shm.Memory
	region uint64
	uses   int // by constants
}

func newConstants(s *shared) *constants {
	return &constants{shared: s, byKey: map[constantKey]*constant{}, blocks: map[*block]bool{}}
}

// wanted is an array that a segment needs, and where its place is to be written.
type wanted struct {
	mem []byte
	to  *pb.Memory
}

const constantAlign = 64

// place copies what is not there yet and says where all of it lies. Each constant returned is to be given back by
// release, with the regions that this makes useless.
func (c *constants) place(list []wanted) ([]*constant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := make([]*constant, 0, len(list))
	size := 0
	var anew []*constant
	for _, w := range list {
		key := constantKey{uintptr(unsafe.Pointer(unsafe.SliceData(w.mem))), len(w.mem)}
		k := c.byKey[key]
		if k == nil || k.block != nil && !bytes.Equal(w.mem, k.block.memory.Bytes[k.offset:k.offset+key.length]) {
			k = &constant{key: key, offset: size}
			size += (len(w.mem) + constantAlign - 1) / constantAlign * constantAlign
			c.byKey[key] = k
			anew = append(anew, k)
		}
		k.uses++
		used = append(used, k)
	}
	if len(anew) > 0 {
		memory, region, err := c.shared.lend(purpose{name: "constants"}, size)
		if err != nil {
			for _, k := range anew {
				delete(c.byKey, k.key)
			}
			for _, k := range used {
				k.uses--
			}
			return nil, err
		}
		b := &block{memory: memory, region: region, uses: len(anew)}
		for _, k := range anew {
			k.block = b
		}
		c.blocks[b] = true
		c.held += int64(len(memory.Bytes))
		for i, w := range list {
			if used[i].block == b {
				copy(memory.Bytes[used[i].offset:], w.mem)
			}
		}
	}
	for i, w := range list {
		w.to.Region, w.to.Offset, w.to.Length = used[i].block.region, uint64(used[i].offset), uint64(len(w.mem))
	}
	return used, nil
}

// release gives constants back and returns regions of which nothing is in use any more.
func (c *constants) release(used []*constant) (regions []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range used {
		if k.uses--; k.uses > 0 {
			continue
		}
		if c.byKey[k.key] == k {
			delete(c.byKey, k.key)
		}
		b := k.block
		if b.uses--; b.uses == 0 {
			regions = append(regions, b.region)
			delete(c.blocks, b)
			c.held -= int64(len(b.memory.Bytes))
			_ = b.memory.Close()
		}
	}
	return regions
}

func (c *constants) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// close gives back everything; kernels that are released later find nothing left.
func (c *constants) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.blocks {
		_ = b.memory.Close()
	}
	c.byKey, c.blocks, c.held = map[constantKey]*constant{}, map[*block]bool{}, 0
}
