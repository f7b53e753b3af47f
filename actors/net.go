package actors

import (
	"context"
	"strings"
	"sync"
	"unicode"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// Net is how this process reaches others: an actor system with a door to the network. A head and a worker have one
// each.
type Net struct {
	system  *actor.ActorSystem
	address string // of this side
	local   bool   // all sides are in one system: names have addresses in front (tests, simulations)
	world   World  // that is simulated; nil: none is
	probe   func(ctx context.Context, address string) error
	close   func(ctx context.Context) error
	data    doorway // for batches

	in, out troubles // of links, on purpose

	mu   sync.Mutex
	lost map[string]map[*watcher]struct{} // who wants to know of lost connections, by address
}

type watcher struct{ tell func() }

// Address is where others reach this side.
func (n *Net) Address() string { return n.address }

// Close takes the door down. Whoever used it has ended.
func (n *Net) Close(ctx context.Context) error {
	if n.close == nil {
		return nil
	}
	return n.close(ctx)
}

// pid is the actor of a name on some side.
func (n *Net) pid(address, name string) *actor.PID {
	if n.local {
		return actor.NewPID(n.system.Address(), address+"/"+name)
	}
	return actor.NewPID(address, name)
}

// name is how an actor of this side is registered.
func (n *Net) name(name string) string {
	if n.local {
		return n.address + "/" + name
	}
	return name
}

// send sends a message to another side. What cannot be delivered is lost without a word.
func (n *Net) send(to *actor.PID, m proto.Message) {
	if !n.out.of(n.side(to)).takes(func() { n.pass(to, m) }) {
		n.pass(to, m)
	}
}

// pass is send once the link lets the message pass.
func (n *Net) pass(to *actor.PID, m proto.Message) {
	if n.world == nil {
		n.system.Root.Send(to, m)
		return
	}
	n.world.Carry(n.address, n.side(to), parcelOf(m), func() { n.system.Root.Send(to, m) })
}

// side is the address of the side where an actor is.
func (n *Net) side(pid *actor.PID) string {
	if n.local {
		address, _, _ := strings.Cut(pid.Id, "/")
		return address
	}
	return pid.Address
}

// watch has a function told when the connection to an address ends, until the returned one is called. It must not wait.
func (n *Net) watch(address string, tell func()) (forget func()) {
	w := &watcher{tell}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lost[address] == nil {
		n.lost[address] = map[*watcher]struct{}{}
	}
	n.lost[address][w] = struct{}{}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if delete(n.lost[address], w); len(n.lost[address]) == 0 {
			delete(n.lost, address)
		}
	}
}

// ended tells those who watch an address.
func (n *Net) ended(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.lost[address] {
		w.tell()
	}
}

// doorName is the actor of a worker that heads speak to first.
const doorName = "door"

// words is a text that a message can carry.
func words(s string) string { return strings.ToValidUTF8(s, "?") }

// mostSaid bounds what is made of a text of the other side, in bytes.
const mostSaid = 1000

// said is a text of the other side as it may stand in logs and on terminals: one line of bounded length, nothing that steers.
func said(s string) string {
	if len(s) > mostSaid {
		s = words(s[:mostSaid]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
