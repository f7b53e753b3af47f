package stream

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"
)

const (
	header      = 4 + 1 + 4 // bytes: length of the message, kind, target
	mostMessage = 64 << 20
)

// appendFrame appends a message to what is to be written.
func appendFrame(to []byte, kind uint8, target uint32, m proto.Message, most int) ([]byte, error) {
	begin := len(to)
	to = append(to, 0, 0, 0, 0, kind, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(to[begin+5:], target)
	out, err := proto.MarshalOptions{}.MarshalAppend(to, m)
	if err != nil {
		return to[:begin], fmt.Errorf("stream: %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	n := len(out) - begin - header
	if n > most {
		return out[:begin], fmt.Errorf("stream: %s of %d bytes, want at most %d: send it in pieces", m.ProtoReflect().Descriptor().Name(), n, most)
	}
	binary.LittleEndian.PutUint32(out[begin:], uint32(n))
	return out, nil
}

// frame is what has come in; its bytes lie in the buffer that was read into.
type frame struct {
	kind   uint8
	target uint32
	bytes  []byte
}

// parse reads the frame at the beginning of what has come. Where more must come first, size is how many bytes the
// frame has, or at least has, and whole is false.
func parse(b []byte, kinds, most int) (f frame, size int, whole bool, err error) {
	if len(b) < header {
		return f, header, false, nil
	}
	n := binary.LittleEndian.Uint32(b)
	f.kind, f.target = b[4], binary.LittleEndian.Uint32(b[5:])
	switch {
	case uint64(n) > uint64(most):
		return f, 0, false, fmt.Errorf("stream: a message of %d bytes, want at most %d", n, most)
	case int(f.kind) >= kinds:
		return f, 0, false, fmt.Errorf("stream: a message of kind %d, want 0 to %d: run the same version on both sides", f.kind, kinds-1)
	}
	size = header + int(n)
	if len(b) < size {
		return f, size, false, nil
	}
	f.bytes = b[header:size]
	return f, size, true, nil
}
