package tokens

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

const mend = "use the tokenizer.model that came with the checkpoint"

// refuse says that a model cannot be reproduced exactly.
func refuse(field string, got, want any) error {
	return fmt.Errorf("tokens: %s: %v, want %v: %s", field, got, want, mend)
}

// check refuses every model whose ids or texts could differ from
// SentencePiece's.
func (m *model) check() error {
	for _, r := range []struct {
		field     string
		got, want any
	}{
		{"trainer_spec.model_type", modelTypeName(m.modelType), modelTypeName(modelTypeBPE)},
		{"trainer_spec.byte_fallback", m.byteFallback, true},
		{"trainer_spec.treat_whitespace_as_suffix", m.suffix, false},
		{"trainer_spec.unk_surface: valid UTF-8", utf8.ValidString(m.unkSurface), true},
		{"normalizer_spec.name", m.normalizer.label(), identity},
		{"normalizer_spec.precompiled_charsmap: bytes", m.normalizer.charsmap, 0},
		{"normalizer_spec.add_dummy_prefix", m.dummyPrefix, true},
		{"normalizer_spec.remove_extra_whitespaces", m.trimSpace, false},
		{"normalizer_spec.escape_whitespaces", m.escapeSpace, true},
		{"denormalizer_spec.name", m.denormalizer.label(), identity},
		{"denormalizer_spec.precompiled_charsmap: bytes", m.denormalizer.charsmap, 0},
	} {
		if r.got != r.want {
			return refuse(r.field, r.got, r.want)
		}
	}
	if err := m.checkPieces(); err != nil {
		return err
	}
	return m.checkIDs()
}

// checkPieces holds SentencePiece's own rules: none twice, one unknown, every
// byte once, and those of entry.fault.
func (m *model) checkPieces() error {
	seen := make(map[string]int, len(m.pieces))
	unknowns, bytes := 0, 0
	for id, e := range m.pieces {
		if got, want := e.fault(); want != "" {
			return refuse(fmt.Sprintf("piece %d", id), got, want)
		}
		if first, twice := seen[e.text]; twice {
			return refuse(fmt.Sprintf("piece %d", id), fmt.Sprintf("%.40q, as piece %d", e.text, first), "no piece twice")
		}
		seen[e.text] = id
		switch e.kind {
		case Unknown:
			unknowns++
		case Byte:
			bytes++
		}
	}
	if unknowns != 1 {
		return refuse("pieces of type unknown", unknowns, 1)
	}
	if bytes != 256 { // each differs from the others, so all are there
		return refuse("pieces of type byte", bytes, 256)
	}
	return nil
}

// fault says what is wrong with a piece by itself; want is "" if nothing is.
// Unused pieces are refused since SentencePiece splits them up again after
// merging, and go-sentencepiece does not.
func (e entry) fault() (got, want string) {
	switch {
	case e.text == "":
		return "empty", "a text"
	case !utf8.ValidString(e.text):
		return fmt.Sprintf("%.40q", e.text), "valid UTF-8"
	case math.IsNaN(float64(e.score)) || math.IsInf(float64(e.score), 0):
		return fmt.Sprintf("score %v", e.score), "a finite score"
	case e.kind == Unused:
		return fmt.Sprintf("%.40q of type unused", e.text), "a type in use"
	case e.kind == Byte:
		if _, ok := byteValue(e.text); !ok {
			return fmt.Sprintf("%.40q of type byte", e.text), "<0x00> to <0xFF>"
		}
	}
	return "", ""
}

// checkIDs compares the special ids of the trainer_spec with the pieces they
// point at.
func (m *model) checkIDs() error {
	for _, r := range []struct {
		field string
		id    int32
		kind  Kind
	}{
		{"trainer_spec.unk_id", m.unkID, Unknown},
		{"trainer_spec.bos_id", m.bosID, Control},
		{"trainer_spec.eos_id", m.eosID, Control},
		{"trainer_spec.pad_id", m.padID, Control},
	} {
		if r.id < 0 && r.kind == Control {
			continue // absent
		}
		if r.id < 0 || int(r.id) >= len(m.pieces) {
			return refuse(r.field, r.id, fmt.Sprintf("0 to %d", len(m.pieces)-1))
		}
		if got := m.pieces[r.id].kind; got != r.kind {
			return refuse(r.field, fmt.Sprintf("%d, a piece of type %v", r.id, got), fmt.Sprintf("one of type %v", r.kind))
		}
	}
	return nil
}

const identity = "identity"

// label is the normaliser's name as an error shows it.
func (r rules) label() string {
	if r.name == "" || r.name == identity {
		return identity
	}
	return fmt.Sprintf("%.40q", r.name)
}

func modelTypeName(t int32) string {
	switch t {
	case 1:
		return "UNIGRAM"
	case modelTypeBPE:
		return "BPE"
	case 3:
		return "WORD"
	case 4:
		return "CHAR"
	}
	return strconv.Itoa(int(t))
}

// byteValue reads the text of a byte piece, such as <0x0A>.
func byteValue(text string) (byte, bool) {
	v, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(text, "<0x"), ">"), 16, 8)
	return byte(v), err == nil && text == fmt.Sprintf("<0x%02X>", v)
}
