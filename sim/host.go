package sim

import (
	"hash/fnv"
	"sync"
	"time"
)

// host is a machine with an address.
type host struct {
	name string
	id   uint64

	mu     sync.Mutex
	lanes  map[int]uint64 // made so far, by device
	life   int            // counts deaths
	dead   bool
	frozen bool
	held   []func() // what happens when it is not frozen any more

	out, in time.Duration // its network is busy so long, in each direction; the world's lock
}

// host is that of an address.
func (w *World) host(address string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known(address)
}

func (w *World) known(address string) *host {
	h := w.hosts[address]
	if h == nil {
		sum := fnv.New32a()
		sum.Write([]byte(address))
		h = &host{name: address, id: uint64(sum.Sum32()), lanes: map[int]uint64{}}
		w.hosts[address] = h
	}
	return h
}

// hold keeps something for later if the host is frozen.
func (h *host) hold(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen {
		h.held = append(h.held, f)
	}
	return h.frozen
}

// lives tells how often the host has died, and whether it is alive.
func (h *host) lives() (life int, alive bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life, !h.dead
}

// Kill has nothing leave or reach a host any more. Its lanes go on, unheard.
func (w *World) Kill(address string) {
	h := w.host(address)
	h.mu.Lock()
	h.dead = true
	h.life++
	h.mu.Unlock()
}

// Revive ends that, with whoever is new there: what is on the way from and to the earlier ones is lost.
func (w *World) Revive(address string) {
	h := w.host(address)
	h.mu.Lock()
	h.dead = false
	h.mu.Unlock()
}

// Freeze has a host do nothing, as if its processes were stopped; thaw ends that. What comes meanwhile waits.
func (w *World) Freeze(address string) (thaw func()) {
	h := w.host(address)
	h.mu.Lock()
	h.frozen = true
	h.mu.Unlock()
	return func() {
		w.loop.After(0, h.id, 0, func() { // all in one event: nothing may come in between
			h.mu.Lock()
			h.frozen = false
			held := h.held
			h.held = nil
			h.mu.Unlock()
			for _, f := range held {
				f()
			}
		})
	}
}
