package tokens

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds on a model file. Grok-1's has 2,229,219 bytes, 131,072 pieces of at
// most 48 bytes, and 736 bytes of user-defined pieces, each byte of which may
// cost go-sentencepiece a trie node of some 200 bytes.
const (
	maxModelBytes = 32 << 20
	maxPieces     = 1 << 19
	maxPieceBytes = 1 << 10
	maxUserBytes  = 1 << 18
)

// model is the part of SentencePiece's ModelProto that decides ids and texts.
// Field numbers and defaults: google/sentencepiece, src/sentencepiece_model.proto.
type model struct {
	pieces    []entry // index = id
	userBytes int     // sum of the lengths of user-defined pieces

	modelType                           int32
	byteFallback, suffix                bool
	unkID, bosID, eosID, padID          int32 // negative: absent
	unkSurface                          string
	normalizer, denormalizer            rules
	dummyPrefix, trimSpace, escapeSpace bool
}

// entry is one SentencePiece of the model.
type entry struct {
	text  string
	score float32 // merges with higher scores come first
	kind  Kind
}

// rules is what a normalizer_spec says about rewriting characters.
type rules struct {
	name     string // label only; "" counts as "identity"
	charsmap int    // bytes of the compiled rules; 0 = identity
}

const modelTypeBPE = 2

// parseModel reads a serialised ModelProto. It checks form and size; what the
// settings mean is checked by model.check.
func parseModel(b []byte) (*model, error) {
	if len(b) > maxModelBytes {
		return nil, refuse("model file", fmt.Sprint(len(b), " bytes"), fmt.Sprint("at most ", maxModelBytes))
	}
	m := &model{
		modelType: 1, unkID: 0, bosID: 1, eosID: 2, padID: -1, unkSurface: " \u2047 ",
		dummyPrefix: true, trimSpace: true, escapeSpace: true,
	}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return m.parsePiece(f)
		case 2:
			return within("trainer_spec", f.message(m.parseTrainer))
		case 3:
			return within("normalizer_spec", f.message(m.parseNormalizer))
		case 5:
			return within("denormalizer_spec", f.message(m.denormalizer.parse))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tokens: not a SentencePiece model, or a damaged one: %w: %s", err, mend)
	}
	return m, nil
}

func within(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (m *model) parsePiece(f field) error {
	id := len(m.pieces)
	if id == maxPieces {
		return fmt.Errorf("piece %d: more than %d pieces", id, maxPieces)
	}
	e := entry{kind: Normal}
	kind := int32(Normal)
	err := f.message(func(f field) error {
		switch f.num {
		case 1:
			if len(f.data) > maxPieceBytes {
				return fmt.Errorf("%d bytes long, want at most %d", len(f.data), maxPieceBytes)
			}
			return f.string(&e.text)
		case 2:
			return f.float32(&e.score)
		case 3:
			return f.int32(&kind)
		}
		return nil
	})
	if err == nil && (kind < int32(Normal) || kind > int32(Byte)) {
		err = fmt.Errorf("type %d, want 1 to 6", kind)
	}
	if err != nil {
		return fmt.Errorf("piece %d: %w", id, err)
	}
	e.kind = Kind(kind)
	if e.kind == UserDefined {
		if m.userBytes += len(e.text); m.userBytes > maxUserBytes {
			return fmt.Errorf("piece %d: more than %d bytes of user-defined pieces", id, maxUserBytes)
		}
	}
	m.pieces = append(m.pieces, e)
	return nil
}

func (m *model) parseTrainer(f field) error {
	switch f.num {
	case 3:
		return f.int32(&m.modelType)
	case 24:
		return f.bool(&m.suffix)
	case 35:
		return f.bool(&m.byteFallback)
	case 40:
		return f.int32(&m.unkID)
	case 41:
		return f.int32(&m.bosID)
	case 42:
		return f.int32(&m.eosID)
	case 43:
		return f.int32(&m.padID)
	case 44:
		if len(f.data) > maxPieceBytes {
			return fmt.Errorf("unk_surface: %d bytes long, want at most %d", len(f.data), maxPieceBytes)
		}
		return f.string(&m.unkSurface)
	}
	return nil
}

func (m *model) parseNormalizer(f field) error {
	switch f.num {
	case 3:
		return f.bool(&m.dummyPrefix)
	case 4:
		return f.bool(&m.trimSpace)
	case 5:
		return f.bool(&m.escapeSpace)
	}
	return m.normalizer.parse(f)
}

func (r *rules) parse(f field) error {
	switch f.num {
	case 1:
		return f.string(&r.name)
	case 2:
		return f.length(&r.charsmap)
	}
	return nil
}

// merges is the model that go-sentencepiece gets: the pieces, and settings
// under which it only merges. It refuses add_dummy_prefix, so Encode puts the
// space in front; and it never sees a byte that was not checked here.
func (m *model) merges() []byte {
	var out []byte
	for _, e := range m.pieces {
		out = e.appendTo(out)
	}
	out = appendMessage(out, 2, appendVarint(appendVarint(nil, 3, modelTypeBPE), 35, 1)) // byte_fallback
	return appendMessage(out, 3, appendVarint(appendVarint(nil, 3, 0), 4, 0))            // no prefix, no trimming
}

// appendTo appends the piece as a field of ModelProto.
func (e entry) appendTo(b []byte) []byte {
	msg := make([]byte, 0, len(e.text)+16)
	msg = protowire.AppendString(protowire.AppendTag(msg, 1, protowire.BytesType), e.text)
	msg = protowire.AppendFixed32(protowire.AppendTag(msg, 2, protowire.Fixed32Type), math.Float32bits(e.score))
	return appendMessage(b, 1, appendVarint(msg, 3, uint64(e.kind)))
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendMessage(b []byte, num protowire.Number, msg []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), msg)
}
