package stream

import (
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Config says what a connection carries.
type Config struct {
	Out, In    []proto.Message // kinds that go out and come in; the peer has the same lists the other way round
	MaxMessage int             // bytes of one message, and of its tail
	Queue      int             // bytes that wait to be written at most: above it the peer is taken for lost. 0: 256 MiB

	// Tail is the field of a message that travels beside it, nil for none; Room is memory for one that has come in. Both
	// nil: messages have none.
	Tail func(m proto.Message) *[]byte
	Room func(n int) []byte

	// Take gets what comes in, one message after the other. It owns the message, and waits for nothing.
	Take func(target uint32, m proto.Message)
	// Lost is told once why the connection has ended, unless this side has ended it.
	Lost func(why error)
}

const defaultQueue = 256 << 20

func (c *Config) complete() error {
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Tail == nil {
		c.Tail = func(proto.Message) *[]byte { return nil }
	}
	if c.Room == nil {
		c.Room = func(n int) []byte { return make([]byte, n) }
	}
	switch {
	case len(c.Out) > math.MaxUint8 || len(c.In) > math.MaxUint8:
		return fmt.Errorf("stream: %d and %d kinds of messages, want at most %d", len(c.Out), len(c.In), math.MaxUint8)
	case c.MaxMessage < 1 || c.MaxMessage > mostMessage:
		return fmt.Errorf("stream: messages of %d bytes, want 1 to %d", c.MaxMessage, mostMessage)
	}
	return nil
}

// kinds numbers the types of messages.
func kinds(of []proto.Message) map[reflect.Type]uint8 {
	all := map[reflect.Type]uint8{}
	for i, m := range of {
		all[reflect.TypeOf(m)] = uint8(i)
	}
	return all
}
