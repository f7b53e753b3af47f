package sim

import (
	"math/rand/v2"
	"sync"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/stages"
)

// World is hosts, their lanes and the links between them. It implements actors.World.
type World struct {
	loop *Loop
	o    Options
	// running is the lane that has the baton; the loop's, and that lane's.
	running *lane

	mu    sync.Mutex
	hosts map[string]*host
	links map[[2]string]*link
}

var _ actors.World = (*World)(nil)

// Options say what a world is like. What is nil takes no time.
type Options struct {
	// Hop is how long the next turn of a lane waits once it could begin.
	Hop func(rng *rand.Rand) time.Duration
	// Cost is what a kernel's run takes on a device of a host.
	Cost func(k Kernel) time.Duration
	// Link is what there is between two hosts.
	Link func(from, to string) Link
	// Bytes is how long a message is on the network; nil: as it is written.
	Bytes func(p actors.Parcel) int
	// Aside has messages that are not of batches delivered at once, outside of virtual time.
	Aside bool
	// Told hears of time that is charged for; Turned of a lane that has had its say; Sent of messages. All may be nil.
	Told   func(Turn)
	Turned func(host string)
	Sent   func(Message)
}

// Link is one direction between two hosts.
type Link struct {
	Latency time.Duration
	// From and To are the bytes a second that the sender sends, and the receiver receives, on all its links together. 0: any number.
	From, To float64
	Message  time.Duration // that each message takes beside its bytes, of both sides
}

// Kernel is a run of one that is to be charged for.
type Kernel struct {
	Host   string
	Device int
	Op     kernels.Op
	Call   *kernels.Call // nil: the library does not tell
	Frame  *kernels.Frame
	Rng    *rand.Rand // of the lane
}

// Message is one that went over a link.
type Message struct {
	Kind     string
	From, To string
	Bytes    int
	Waited   time.Duration // for others on the same links
	Took     time.Duration // its bytes
	Latency  time.Duration // of the link
}

// Turn is time that a device was charged for.
type Turn struct {
	Host       string
	Device     int
	Op         kernels.Op
	Call       *kernels.Call // nil: the library does not tell
	Rows       int
	Begin, End time.Duration
}

// NewWorld makes a world on a loop.
func NewWorld(l *Loop, o Options) *World {
	return &World{loop: l, o: o, hosts: map[string]*host{}, links: map[[2]string]*link{}}
}

// rng is a source of chance for one who has a number.
func (w *World) rng(id uint64) *rand.Rand { return rand.New(rand.NewPCG(w.loop.seed, id)) }

func (w *World) hop(l *lane) time.Duration {
	if w.o.Hop == nil {
		return 1
	}
	return w.o.Hop(l.rng)
}

// Lane is a new lane of a host's device.
func (w *World) Lane(address string, device int) actors.Lane {
	return newLane(w, w.host(address), device)
}

// Wrap charges for kernels.
func (w *World) Wrap() stages.Wrap {
	if w.o.Cost == nil {
		return nil
	}
	return func(op kernels.Op, k kernels.Kernel) kernels.Kernel {
		c := &charged{Kernel: k, world: w, op: op}
		if b, ok := k.(blank); ok {
			c.call = b.call
		}
		return c
	}
}

// charged is a kernel whose runs take virtual time.
type charged struct {
	kernels.Kernel
	world *World
	op    kernels.Op
	call  *kernels.Call
}

// Run computes, and then the time passes that it takes: what it has written is seen when that is over.
func (k *charged) Run(f *kernels.Frame) error {
	err := k.Kernel.Run(f)
	w, l := k.world, k.world.running
	took := w.o.Cost(Kernel{Host: l.host.name, Device: l.device, Op: k.op, Call: k.call, Frame: f, Rng: l.rng})
	if took > 0 && w.o.Told != nil {
		now := w.loop.Now()
		t := Turn{Host: l.host.name, Device: l.device, Op: k.op, Call: k.call, Rows: f.Rows.N, Begin: now, End: now + took}
		if k.op == kernels.Expert {
			t.Rows = len(f.Work.Row)
		}
		w.o.Told(t)
	}
	l.pass(took)
	return err
}
