package actors

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Local is a network within one process: its sides are in one actor system. It is for tests and simulations.
type Local struct {
	system *actor.ActorSystem
	world  World // may be nil

	mu   sync.Mutex
	nets []*Net
}

// NewLocal makes one; world may be nil.
func NewLocal(world World) *Local { return &Local{system: newSystem(), world: world} }

// Net is the way of a side with an address, HOST:PORT or another name of its own, to the others.
func (l *Local) Net(address string) *Net {
	n := newLocalNet(l.system, address)
	n.world = l.world
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nets = append(l.nets, n)
	return n
}

// Cut tells a side that its connection to another one has ended.
func (l *Local) Cut(side, other string) {
	l.mu.Lock()
	nets := slices.Clone(l.nets)
	l.mu.Unlock()
	for _, n := range nets {
		if n.address == side {
			n.ended(other)
		}
	}
}

// Close ends the actor system. Engines and workers have ended before.
func (l *Local) Close() { l.system.Shutdown() }

// newLocalNet is a side among others of one actor system.
func newLocalNet(system *actor.ActorSystem, address string) *Net {
	n := &Net{system: system, address: address, local: true, lost: map[string]map[*watcher]struct{}{}}
	n.probe = func(_ context.Context, address string) error {
		if _, ok := system.ProcessRegistry.GetLocal(address + "/" + doorName); !ok {
			return fmt.Errorf("actors: %s: nobody listens", address)
		}
		return nil
	}
	return n
}
