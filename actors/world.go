package actors

import (
	"math/bits"
	"time"

	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/stages"
	"troupe/stages/sched"
)

// World stands for threads and networks in a simulation: the engine and its workers, all of one process, take their
// lanes and their way to each other from it, and are otherwise the same code.
type World interface {
	// Lane is that of a device, by its place among those of a side: of the worker at an address, or of the head; nil: a real one.
	Lane(address string, device int) Lane
	// Carry takes a message from one side to another and has it delivered, or loses it. It must not wait.
	Carry(from, to string, p Parcel, deliver func())
	// Wrap is around the kernels of every side, for what they take; nil: nothing is.
	Wrap() stages.Wrap
}

// Lane runs the turns of one device, one after the other, in order of their coming.
type Lane interface {
	Schedule(turn func()) // any goroutine may call it; after Stop it does nothing
	Busy() time.Duration  // spent in turns
	Stop()                // after all queued turns, and waits for them
	Stopped() <-chan struct{}
}

// Parcel is a message as a network sees it.
type Parcel struct {
	Kind   string // name of the message
	Batch  bool   // it is about a batch: not of the company's own affairs
	Bytes  int    // as it is written
	Values int    // of these, bytes of rows as wide as the hidden state
	Key    uint64 // tells messages of a kind apart that may be sent at the same time
}

// parcelOf looks at a message.
func parcelOf(m proto.Message) Parcel {
	p := Parcel{Kind: string(m.ProtoReflect().Descriptor().Name()), Bytes: proto.Size(m)}
	rows := func(r *wire.Rows) {
		p.Batch = true
		if r.GetField() != wire.Field_LOGITS {
			p.Values = len(r.GetValues())
		}
	}
	switch m := m.(type) {
	case *wire.Open:
		p.Key = uint64(m.Device)
	case *wire.Rows:
		rows(m)
	case *wire.Pass:
		rows(m.Rest)
	case *wire.Back:
		rows(m.Rest)
		p.Bytes -= varint(m.Busy) + varint(m.Inside) // they are of this machine's clock, and not of the world's
	case *wire.Work:
		rows(m.Rest)
	case *wire.Part:
		rows(m.Rest)
	case *wire.Routed:
		p.Batch = true
	}
	return p
}

// varint is the length of a number in a message.
func varint(v int64) int {
	if v == 0 {
		return 0
	}
	return 1 + (bits.Len64(uint64(v))+6)/7
}

// worldLane is a lane of a world as the engine sees it.
type worldLane struct{ Lane }

// Throughput is as lane's.
func (l worldLane) Throughput() int { return (*lane)(nil).Throughput() }

func (l worldLane) busy() time.Duration { return l.Busy() }

func (l worldLane) stop() { l.Stop() }

func (l worldLane) do(f func()) {
	done := make(chan struct{})
	l.Schedule(func() { defer close(done); f() })
	select {
	case <-done:
	case <-l.Stopped():
	}
}

// lane is that of a device of this side, or stands for one of another side.
func (n *Net) lane(device int, far bool) runner {
	switch {
	case n != nil && n.world != nil:
	case far:
		return newLooseLane()
	default:
		return newLane()
	}
	l := n.world.Lane(n.address, device)
	if l == nil {
		return newLane()
	}
	return worldLane{l}
}

// wrap is what the world has around kernels.
func (n *Net) wrap() stages.Wrap {
	if n == nil || n.world == nil {
		return nil
	}
	return n.world.Wrap()
}

// Hand hands a request in without waiting: whether it is taken comes to the channel. It is for who drives a world.
func (e *Engine) Hand(r sched.Request) (*Stream, <-chan error) {
	s, reply := newStream(e), make(chan error, 1)
	e.tell(&submit{request: r, stream: s, reply: reply})
	return s, reply
}

// Poll takes an event that has arrived, and does not wait for one. It reports whether there was one.
func (s *Stream) Poll() (sched.Event, bool) {
	if s.finished || s.read == len(s.out) && !s.fetch() {
		return sched.Event{}, false
	}
	return s.Next()
}
