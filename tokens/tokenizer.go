package tokens

import (
	"bytes"
	"fmt"
	"strings"

	sentencepiece "github.com/eliben/go-sentencepiece"
)

// space stands for U+0020 inside pieces.
const space = "\u2581"

// Tokenizer is one loaded tokenizer.model.
type Tokenizer struct {
	bpe    *sentencepiece.Processor
	pieces []piece // index = id
	joints joints  // where Encode may cut a text

	pad, bos, eos, unk int32 // from the trainer_spec; -1 = absent
}

// piece is what decoding needs of one id.
type piece struct {
	text    string // as the model spells it
	surface string // what it writes; "" for control and byte pieces
	kind    Kind
	b       byte // value of a byte piece
	spaced  bool // text starts with U+2581: the space is dropped at the very start of a text
}

// New reads a serialised SentencePiece model, as tokenizer.model holds it. It
// refuses, with an error that names the field, what was found and what is
// wanted, a model that is damaged or that it could not reproduce exactly. It
// keeps no reference to the bytes.
func New(data []byte) (*Tokenizer, error) {
	m, err := parseModel(data)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	bpe, err := sentencepiece.NewProcessor(bytes.NewReader(m.merges()))
	if err != nil {
		return nil, fmt.Errorf("tokens: %w: %s", err, mend)
	}
	t := &Tokenizer{
		bpe:    bpe,
		pieces: make([]piece, len(m.pieces)),
		pad:    max(m.padID, -1), bos: max(m.bosID, -1), eos: max(m.eosID, -1), unk: m.unkID,
	}
	for id, e := range m.pieces {
		p := &t.pieces[id]
		p.text, p.kind = e.text, e.kind
		switch e.kind {
		case Control:
		case Byte:
			p.b, _ = byteValue(e.text)
		case Unknown:
			p.surface = m.unkSurface
		default:
			p.surface = strings.ReplaceAll(e.text, space, " ")
			p.spaced = strings.HasPrefix(e.text, space)
			t.joints.add(e.text)
		}
	}
	return t, nil
}

// VocabSize is the number of pieces; ids run from 0 to VocabSize-1.
func (t *Tokenizer) VocabSize() int { return len(t.pieces) }

// PadID is the padding id, -1 if the model has none.
func (t *Tokenizer) PadID() int32 { return t.pad }

// BOSID is the id that begins a text, -1 if the model has none. Grok-1 is run
// without it.
func (t *Tokenizer) BOSID() int32 { return t.bos }

// EOSID is the id that ends a text, -1 if the model has none.
func (t *Tokenizer) EOSID() int32 { return t.eos }

// UnknownID is the id of the unknown piece. Encode never yields it, since
// every character can be spelled in byte pieces.
func (t *Tokenizer) UnknownID() int32 { return t.unk }

// Piece is the piece of an id as the model spells it, U+2581 for a space, and
// its kind: "" and NoKind if there is no such id.
func (t *Tokenizer) Piece(id int32) (string, Kind) {
	if !t.has(id) {
		return "", NoKind
	}
	p := &t.pieces[id]
	return p.text, p.kind
}

// Check compares the tokenizer with a model's vocab_size.
func (t *Tokenizer) Check(vocabSize int) error {
	if len(t.pieces) != vocabSize {
		return fmt.Errorf("tokens: tokenizer has %d pieces, want %d, the vocab_size of the model: %s", len(t.pieces), vocabSize, mend)
	}
	return nil
}

func (t *Tokenizer) has(id int32) bool { return id >= 0 && int(id) < len(t.pieces) }

// noSuchID is the error for the index-th id (0 = first) of a sequence.
func (t *Tokenizer) noSuchID(index int, id int32) error {
	return fmt.Errorf("tokens: id %d at index %d, want 0 to %d: %s", id, index, len(t.pieces)-1, mend)
}
