package tokens

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// A repeated sub-message merges over the first one, so each case is smallModel
// and some bytes behind it.
func TestRefuse(t *testing.T) {
	trainer := func(num protowire.Number, v uint64) []byte { return appendMessage(nil, 2, appendVarint(nil, num, v)) }
	normalizer := func(num protowire.Number, v uint64) []byte {
		return appendMessage(nil, 3, appendVarint(nil, num, v))
	}
	more := func(e entry) []byte { return e.appendTo(nil) }
	minus1 := ^uint64(0)
	for _, c := range []struct {
		name string
		tail []byte
		want string // in the error
	}{
		{"unigram", trainer(3, 1), "trainer_spec.model_type: UNIGRAM, want BPE"},
		{"unknown model type", trainer(3, 77), "trainer_spec.model_type: 77, want BPE"},
		{"no byte fallback", trainer(35, 0), "trainer_spec.byte_fallback: false, want true"},
		{"space as suffix", trainer(24, 1), "trainer_spec.treat_whitespace_as_suffix: true, want false"},
		{"no prefix", normalizer(3, 0), "normalizer_spec.add_dummy_prefix: false, want true"},
		{"trims", normalizer(4, 1), "normalizer_spec.remove_extra_whitespaces: true, want false"},
		{"raw spaces", normalizer(5, 0), "normalizer_spec.escape_whitespaces: false, want true"},
		{"normaliser", appendMessage(nil, 3, appendString(nil, 1, "nmt\nnfkc")), `normalizer_spec.name: "nmt\nnfkc", want identity`},
		{"rules", appendMessage(nil, 3, appendString(nil, 2, "xyz")), "normalizer_spec.precompiled_charsmap: bytes: 3, want 0"},
		{"denormaliser", appendMessage(nil, 5, appendString(nil, 1, "x")), `denormalizer_spec.name: "x", want identity`},
		{"denormaliser rules", appendMessage(nil, 5, appendString(nil, 2, "x")), "denormalizer_spec.precompiled_charsmap: bytes: 1, want 0"},
		{"surface", appendMessage(nil, 2, appendString(nil, 44, "\xff")), "trainer_spec.unk_surface: valid UTF-8: false"},
		{"long surface", appendMessage(nil, 2, appendString(nil, 44, strings.Repeat("x", 1025))), "trainer_spec: unk_surface: 1025 bytes long, want at most 1024"},
		{"unk elsewhere", trainer(40, 0), "trainer_spec.unk_id: 0, a piece of type control, want one of type unknown"},
		{"unk absent", trainer(40, minus1), "trainer_spec.unk_id: -1, want 0 to 271"},
		{"bos out of range", trainer(41, 272), "trainer_spec.bos_id: 272, want 0 to 271"},
		{"eos is text", trainer(42, smallFirst), "trainer_spec.eos_id: 264, a piece of type normal, want one of type control"},
		{"pad is a byte", trainer(43, smallByte), "trainer_spec.pad_id: 8, a piece of type byte, want one of type control"},
		{"empty piece", more(entry{"", 0, Normal}), "piece 272: empty, want a text"},
		{"bad UTF-8", more(entry{"a\xff", 0, UserDefined}), `piece 272: "a\xff", want valid UTF-8`},
		{"twice", more(entry{"ab", 0, Normal}), `piece 272: "ab", as piece 265, want no piece twice`},
		{"NaN", more(entry{"x", float32(math.NaN()), Normal}), "piece 272: score NaN, want a finite score"},
		{"infinite", more(entry{"x", float32(math.Inf(1)), Normal}), "piece 272: score +Inf, want a finite score"},
		{"unused", more(entry{"x", 0, Unused}), `piece 272: "x" of type unused, want a type in use`},
		{"second unknown", more(entry{"x", 0, Unknown}), "pieces of type unknown: 2, want 1"},
		{"no byte", more(entry{"<0xFG>", 0, Byte}), `piece 272: "<0xFG>" of type byte, want <0x00> to <0xFF>`},
		{"byte in small letters", more(entry{"<0xff>", 0, Byte}), `piece 272: "<0xff>" of type byte`},
		{"type 0", more(entry{"x", 0, NoKind}), "piece 272: type 0, want 1 to 6"},
		{"type 7", more(entry{"x", 0, Byte + 1}), "piece 272: type 7, want 1 to 6"},
		{"long piece", more(entry{strings.Repeat("x", 1025), 0, Normal}), "piece 272: 1025 bytes long, want at most 1024"},
		{"score of another wire type", appendMessage(nil, 1, appendVarint(nil, 2, 1)), "piece 272: field 2: wire type 0, want 5"},
		{"piece is a number", appendVarint(nil, 1, 1), "piece 272: field 1: wire type 0, want 2"},
		{"id is a text", appendMessage(nil, 2, appendString(nil, 40, "x")), "trainer_spec: field 40: wire type 2, want 0"},
		{"cut short", []byte{0x0a, 5, 'x'}, "unexpected EOF"},
	} {
		data := append(smallModel(), c.tail...)
		_, err := New(data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
			continue
		}
		if s := err.Error(); !strings.HasPrefix(s, "tokens: ") || strings.Contains(s, "\n") || !strings.HasSuffix(s, mend) {
			t.Errorf("%s: not of the form of this package's errors: %s", c.name, s)
		}
	}
}

func TestRefuseWhole(t *testing.T) {
	trainer := appendMessage(nil, 2, appendVarint(appendVarint(nil, 3, modelTypeBPE), 35, 1))
	spaces := appendMessage(nil, 3, appendVarint(nil, 4, 0))
	var many, long []byte
	for i := range maxPieces + 1 {
		many = entry{fmt.Sprint(i), 0, Normal}.appendTo(many)
	}
	for i := range maxUserBytes/maxPieceBytes + 1 {
		long = entry{fmt.Sprintf("%0*d", maxPieceBytes, i), 0, UserDefined}.appendTo(long)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "trainer_spec.model_type: UNIGRAM, want BPE"},
		{"no trainer_spec", spaces, "trainer_spec.model_type: UNIGRAM, want BPE"},
		{"no normalizer_spec", trainer, "normalizer_spec.remove_extra_whitespaces: true, want false"},
		{"no pieces", slices.Concat(trainer, spaces), "pieces of type unknown: 0, want 1"},
		{"no byte pieces", slices.Concat(trainer, spaces, entry{"x", 0, Unknown}.appendTo(nil)), "pieces of type byte: 0, want 256"},
		{"a tokenizer.json", []byte(`{"version": "1.0", "truncation": null}`), "not a SentencePiece model, or a damaged one: byte "},
		{"zeros", make([]byte, 64), "not a SentencePiece model, or a damaged one: byte 0 of 64"},
		{"too large", make([]byte, maxModelBytes+1), "model file: 33554433 bytes, want at most 33554432"},
		{"too many pieces", many, "piece 524288: more than 524288 pieces"},
		{"too much user-defined", long, "piece 256: more than 262144 bytes of user-defined pieces"},
	} {
		if _, err := New(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// A model cut anywhere is refused, unless all it lost is what comes after the
// settings.
func TestTruncated(t *testing.T) {
	whole := smallModel()
	if _, err := New(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := New(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(whole))
		}
	}
	grok := must(unpack("grok-1.tokenizer.model.gz"))(t)
	for _, n := range []int{1, 1000, 1 << 20, len(grok) / 2, len(grok) - 100, len(grok) - 2} {
		if _, err := New(grok[:n]); err == nil {
			t.Errorf("the first %d of %d bytes of Grok-1's model are accepted", n, len(grok))
		}
	}
}

// Settings that differ from Grok-1's and change no id are read as SentencePiece
// reads them.
func TestAbsentIDs(t *testing.T) {
	minus1 := ^uint64(0)
	ids := appendVarint(appendVarint(appendVarint(nil, 41, minus1), 42, minus1), 43, uint64(1<<64-5))
	tok := must(New(append(smallModel(), appendMessage(nil, 2, ids)...)))(t)
	if tok.BOSID() != -1 || tok.EOSID() != -1 || tok.PadID() != -1 || tok.UnknownID() != smallUnk {
		t.Errorf("bos %d, eos %d, pad %d, unk %d", tok.BOSID(), tok.EOSID(), tok.PadID(), tok.UnknownID())
	}
}

func TestNewKeepsNoBytes(t *testing.T) {
	data := smallModel()
	tok := must(New(data))(t)
	want := tok.Encode("a ab \u00e9")
	for i := range data {
		data[i] = 0xff
	}
	if got := tok.Encode("a ab \u00e9"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the tokenizer shares the caller's bytes", got, want)
	}
}

func TestCheck(t *testing.T) {
	tok := small(t)
	if err := tok.Check(272); err != nil {
		t.Error(err)
	}
	want := "tokens: tokenizer has 272 pieces, want 131072, the vocab_size of the model: " + mend
	if err := tok.Check(131072); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// What go-sentencepiece gets holds the same pieces.
func TestMerges(t *testing.T) {
	m := must(parseModel(smallModel()))(t)
	again := must(parseModel(m.merges()))(t)
	if !slices.Equal(m.pieces, again.pieces) || again.dummyPrefix || again.trimSpace || !again.byteFallback {
		t.Errorf("%+v\nwant the pieces of %+v", again, m)
	}
	if !bytes.Equal(again.merges(), m.merges()) {
		t.Error("merges of merges differ")
	}
}
