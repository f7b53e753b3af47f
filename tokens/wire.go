package tokens

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protobuf message. Generated code for the model would
// register the message type a second time, beside go-sentencepiece's, and that
// panics at start-up: so the wire format is read directly.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	bits uint64 // value of a varint or a fixed32
	data []byte // value of a string, bytes or sub-message; aliases the input
}

// eachField calls f for every field of the message, in order. As protobuf
// demands, a caller that assigns scalars and descends into sub-messages on
// each call merges repeated fields.
func eachField(msg []byte, f func(field) error) error {
	for rest := msg; len(rest) > 0; {
		at := len(msg) - len(rest)
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("byte %d of %d: %w", at, len(msg), protowire.ParseError(n))
		}
		rest = rest[n:]
		v := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			v.bits, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(rest)
			v.bits = uint64(w)
		case protowire.BytesType:
			v.data, n = protowire.ConsumeBytes(rest)
		default:
			n = protowire.ConsumeFieldValue(num, typ, rest)
		}
		if n < 0 {
			return fmt.Errorf("byte %d of %d: %w", at, len(msg), protowire.ParseError(n))
		}
		rest = rest[n:]
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("field %d: wire type %d, want %d", f.num, f.typ, typ)
	}
	return nil
}

func (f field) int32(dst *int32) error {
	*dst = int32(f.bits)
	return f.want(protowire.VarintType)
}

func (f field) bool(dst *bool) error {
	*dst = f.bits != 0
	return f.want(protowire.VarintType)
}

func (f field) float32(dst *float32) error {
	*dst = math.Float32frombits(uint32(f.bits))
	return f.want(protowire.Fixed32Type)
}

func (f field) string(dst *string) error {
	*dst = string(f.data)
	return f.want(protowire.BytesType)
}

func (f field) length(dst *int) error {
	*dst = len(f.data)
	return f.want(protowire.BytesType)
}

func (f field) message(handle func(field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return eachField(f.data, handle)
}
