package stream

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"
)

const (
	header      = 4 + 1 + 4 + 4 // bytes: length of the message, kind, target, length of the tail
	mostMessage = 64 << 20
)

// appendFrame appends a message to what is to be written.
func (c *Config) appendFrame(to []byte, kind uint8, target uint32, m proto.Message) ([]byte, error) {
	begin := len(to)
	to = append(to, 0, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0)
	var tail []byte
	if field := c.Tail(m); field != nil {
		tail, *field = *field, nil
		defer func() { *field = tail }()
	}
	out, err := proto.MarshalOptions{}.MarshalAppend(to, m)
	if err != nil {
		return to[:begin], fmt.Errorf("stream: %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	n := len(out) - begin - header
	if most := max(n, len(tail)); most > c.MaxMessage {
		return out[:begin], fmt.Errorf("stream: %s of %d bytes, want at most %d: send it in pieces", m.ProtoReflect().Descriptor().Name(), most, c.MaxMessage)
	}
	binary.LittleEndian.PutUint32(out[begin:], uint32(n))
	binary.LittleEndian.PutUint32(out[begin+5:], target)
	binary.LittleEndian.PutUint32(out[begin+9:], uint32(len(tail)))
	return append(out, tail...), nil
}

// frame is what has come in; its bytes lie in the buffer that was read into.
type frame struct {
	kind    uint8
	target  uint32
	message []byte
	tail    []byte
}

// parse reads the frame at the beginning of what has come. Where more must come first, size is how many bytes the
// frame has, or at least has, and whole is false.
func (c *Config) parse(b []byte) (f frame, size int, whole bool, err error) {
	if len(b) < header {
		return f, header, false, nil
	}
	n, tail := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[9:])
	f.kind, f.target = b[4], binary.LittleEndian.Uint32(b[5:])
	switch most := max(n, tail); {
	case uint64(most) > uint64(c.MaxMessage):
		return f, 0, false, fmt.Errorf("stream: a message of %d bytes, want at most %d", most, c.MaxMessage)
	case int(f.kind) >= len(c.In):
		return f, 0, false, fmt.Errorf("stream: a message of kind %d, want 0 to %d: run the same version on both sides", f.kind, len(c.In)-1)
	}
	size = header + int(n) + int(tail)
	if len(b) < size {
		return f, size, false, nil
	}
	f.message, f.tail = b[header:header+int(n)], b[header+int(n):size]
	return f, size, true, nil
}

// read makes a message of a frame.
func (c *Config) read(f frame) (proto.Message, error) {
	m := c.In[f.kind].ProtoReflect().New().Interface()
	name := m.ProtoReflect().Descriptor().Name()
	if err := proto.Unmarshal(f.message, m); err != nil {
		return nil, fmt.Errorf("stream: %s: %w", name, err)
	}
	if len(f.tail) == 0 {
		return m, nil
	}
	field := c.Tail(m)
	if field == nil || len(*field) > 0 {
		return nil, fmt.Errorf("stream: %s: it has no place for a tail of %d bytes", name, len(f.tail))
	}
	*field = c.Room(len(f.tail))
	copy(*field, f.tail)
	return m, nil
}
