package tokens

import (
	"strings"
	"unicode/utf8"
)

// Decode gives the text of the ids, as SentencePiece's DecodeIds does:
//
//   - a normal or user-defined piece writes itself with spaces for U+2581; the
//     first piece that writes anything loses its leading space, if the piece
//     spells it U+2581 (not the byte piece <0x20>, not a literal space);
//   - a run of byte pieces is read as UTF-8, a U+FFFD for each byte that is not;
//   - a control piece writes nothing, but ends a run of byte pieces;
//   - the unknown piece writes the model's unk_surface.
//
// The error names the index and the id if one is not in the vocabulary.
func (t *Tokenizer) Decode(ids []int32) (string, error) {
	var text strings.Builder
	s := t.NewStream()
	for _, id := range ids {
		part, err := s.Next(id)
		if err != nil {
			return "", err
		}
		text.WriteString(part)
	}
	text.WriteString(s.Flush())
	return text.String(), nil
}

// Stream decodes one token at a time.
type Stream struct {
	t       *Tokenizer
	taken   int    // ids so far
	blank   bool   // nothing was written, and no leading space dropped
	partial []byte // the bytes of a character that is not whole: at most 3 between calls
}

// NewStream starts a text.
func (t *Tokenizer) NewStream() *Stream {
	return &Stream{t: t, blank: true, partial: make([]byte, 0, utf8.UTFMax)}
}

// NewStreamAfter continues a text: its outputs are what Decode of prompt and
// continuation together has behind the prompt's text. So the continuation
// keeps its leading space, unless the prompt writes nothing; and if the prompt
// ends within a character, the first output begins with that character.
func (t *Tokenizer) NewStreamAfter(prompt []int32) (*Stream, error) {
	s := t.NewStream()
	for _, id := range prompt {
		if _, err := s.Next(id); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Next takes an id and gives the text that is certain now, "" if none is. An
// id that is not in the vocabulary is an error (its index counts the prompt)
// and leaves the stream as it was.
func (s *Stream) Next(id int32) (string, error) {
	if !s.t.has(id) {
		return "", s.t.noSuchID(s.taken, id)
	}
	s.taken++
	p := &s.t.pieces[id]
	if p.kind == Byte {
		s.partial = append(s.partial, p.b)
		return s.characters(false), nil
	}
	text := s.characters(true) // any other piece ends a run of bytes
	surface := p.surface
	if s.blank && p.spaced {
		surface, s.blank = surface[1:], false
	}
	s.blank = s.blank && surface == ""
	return text + surface, nil // allocates only if neither is ""
}

// Flush ends the text: it gives a U+FFFD for each byte of a character that
// never became whole.
func (s *Stream) Flush() string { return s.characters(true) }

// characters takes the whole characters off the front of partial; at the end
// of a run of bytes, everything. utf8.FullRune is true for bytes that cannot
// become a character whatever follows, so waiting changes no result.
func (s *Stream) characters(end bool) string {
	var text []byte
	for len(s.partial) > 0 && (end || utf8.FullRune(s.partial)) {
		r, n := utf8.DecodeRune(s.partial)
		text = utf8.AppendRune(text, r)
		s.partial = append(s.partial[:0], s.partial[n:]...)
	}
	s.blank = s.blank && len(text) == 0
	return string(text)
}
