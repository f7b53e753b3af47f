package link

import (
	"fmt"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers protobuf, which all but the checked messages go through
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// form is a message on the wire: its fields by number, and the form of those that are messages themselves. A field
// that is not named must not be there. It bounds what decoding allocates: two bytes are enough for an envelope of a
// hundred bytes in memory, so a frame of allowed size could fill the machine.
type form map[protowire.Number]field

type field struct {
	kind protowire.Type
	most int  // times in all of the message that is looked at; 0 for once per message that it is in
	form form // of a message
}

var (
	pidForm    = form{1: {kind: text}, 2: {kind: text}, 3: {kind: number}}
	remoteForm = form{
		1: {kind: text, form: form{ // batch
			1: {kind: text, most: batchSize},                // type names
			2: {kind: text, most: batchSize, form: pidForm}, // targets
			3: {kind: text, most: batchSize, form: form{ // envelopes; field 6, a header, is not used
				1: {kind: number}, 2: {kind: text}, 3: {kind: number}, 4: {kind: number}, 5: {kind: number}, 7: {kind: number}, 8: {kind: number},
			}},
			4: {kind: text, most: batchSize, form: pidForm}, // senders
		}},
		2: {kind: text, form: form{ // connect
			1: {kind: text, form: form{1: {kind: text}}},
			2: {kind: text, form: form{1: {kind: text}, 2: {kind: text}}},
		}},
	}
)

const (
	number = protowire.VarintType
	text   = protowire.BytesType
)

// checkForm returns why the bytes are not a message of the form.
func checkForm(b []byte, f form) error {
	var counts [9]int // by field number; forms have none above 8
	for len(b) > 0 {
		id, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("link: a frame that is no message: %w", protowire.ParseError(n))
		}
		want, ok := f[id]
		if !ok || kind != want.kind {
			return fmt.Errorf("link: a frame with field %d of type %d, which is not in use", id, kind)
		}
		if counts[id]++; counts[id] > max(want.most, 1) {
			return fmt.Errorf("link: a frame with field %d %d times, want at most %d", id, counts[id], max(want.most, 1))
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(id, kind, b); n < 0 {
			return fmt.Errorf("link: a frame that is no message: field %d: %w", id, protowire.ParseError(n))
		}
		if want.form != nil {
			inner, _ := protowire.ConsumeBytes(b[:n])
			if err := checkForm(inner, want.form); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// codec is gRPC's for protobuf, and looks at the form of what comes in before it decodes it.
type codec struct{}

// Name is the content's type, as gRPC sends it.
func (codec) Name() string { return "proto" }

// Marshal is gRPC's own.
func (codec) Marshal(v any) (mem.BufferSlice, error) { return encoding.GetCodecV2("proto").Marshal(v) }

// Unmarshal takes a RemoteMessage of the known form, and requests without content.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	want := form{}
	if _, ok := v.(*remote.RemoteMessage); ok {
		want = remoteForm
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	if err := checkForm(whole.ReadOnlyData(), want); err != nil {
		return err
	}
	return proto.Unmarshal(whole.ReadOnlyData(), v.(proto.Message))
}
