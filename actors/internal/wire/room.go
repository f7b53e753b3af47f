package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/protobuf/proto"
)

// Memory for values is used again: new memory costs as much time as what is put into it.
const (
	leastRoom = 10 // as power of two, in bytes
	mostRoom  = 24
)

var rooms [mostRoom + 1]sync.Pool // of *[]byte, by power of two

// Room is memory for n bytes of values, with anything in it.
func Room(n int) []byte {
	power := max(leastRoom, bits.Len(uint(max(n, 1)-1)))
	if power > mostRoom {
		return make([]byte, n)
	}
	if b, ok := rooms[power].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<power)
}

// Free gives the values of a message back, which nobody reads any more.
func Free(m proto.Message) {
	values := Values(m)
	if values == nil {
		return
	}
	b := *values
	*values = nil
	if power := bits.Len(uint(cap(b))) - 1; power >= leastRoom && power <= mostRoom && cap(b) == 1<<power {
		rooms[power].Put(&b)
	}
}

// Values is where the values are that a message carries, nil for one that has no place for any.
func Values(m proto.Message) *[]byte {
	var rest *Rows
	switch m := m.(type) {
	case *Rows:
		rest = m
	case *Pass:
		rest = m.Rest
	case *Back:
		rest = m.Rest
	case *Work:
		rest = m.Rest
	case *Part:
		rest = m.Rest
	}
	if rest == nil {
		return nil
	}
	return &rest.Values
}
