package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab/page"
	"troupe/lab/trace"
	"troupe/tokens"
)

// speller gives tokens their text.
type speller struct {
	tokenizer *tokens.Tokenizer // nil: ids
	foreign   bool              // the tokenizer is the embedded demo's for want of a name, and another model made the tokens
	doubted   bool              // a text of the file is not what its tokens spell
}

// newSpeller spells the tokens of a file of routing by the tokenizer of --model; if there is none, it shows ids.
func (p *program) newSpeller(c *cli.Context, h trace.Header) (*speller, error) {
	dir, err := modelDir(c.String("model"))
	if err != nil {
		return nil, err
	}
	s := &speller{foreign: c.String("model") == "" && h.Model != dir.name}
	if s.tokenizer, err = dir.tokenizer(); err != nil {
		p.notice("%v: ids are shown", err)
	}
	return s, nil
}

// words are what the tokens of a document add to its text. With wrote each has the routing of the row that it was
// drawn from, the one before it; else that of its own row.
func (s *speller) words(d *trace.Doc, wrote bool) []page.Word {
	words := make([]page.Word, len(d.Tokens))
	s.spell(d, words)
	shift := 0
	if wrote {
		shift = 1
	}
	for i := range d.Rows {
		if at := d.Rows[i].Position + shift; at < len(words) {
			words[at].Routed, words[at].Path = true, d.Rows[i].Path
		}
	}
	return words
}

func (s *speller) spell(d *trace.Doc, words []page.Word) {
	s.see(d)
	if s.tokenizer != nil {
		stream := s.tokenizer.NewStream()
		for i, id := range d.Tokens {
			text, _ := stream.Next(id) // it has been seen that there is such an id
			if piece, kind := s.tokenizer.Piece(id); kind == tokens.Control {
				text += piece
			}
			words[i].Text = text
		}
		if rest := stream.Flush(); rest != "" {
			words[len(words)-1].Text += rest
		}
	}
	if s.tokenizer == nil {
		for i, id := range d.Tokens {
			words[i].Text = fmt.Sprintf("%d ", id)
		}
	}
}

// see gives the tokenizer up when the tokens of a document are another one's.
func (s *speller) see(d *trace.Doc) {
	if s.tokenizer != nil && !s.fits(d) {
		s.tokenizer, s.doubted = nil, true
	}
}

// fits tells whether the tokens begin by spelling the document's text, or are what it is encoded as: behind a text
// may come what a stop string cut off, or an end. Where there is no text, only the model's name can tell.
func (s *speller) fits(d *trace.Doc) bool {
	if d.Text == "" && s.foreign {
		return false
	}
	if text, err := s.tokenizer.Decode(d.Tokens); err != nil || strings.HasPrefix(text, d.Text) {
		return err == nil
	}
	ids := s.tokenizer.Encode(d.Text)
	return len(ids) <= len(d.Tokens) && slices.Equal(ids, d.Tokens[:len(ids)])
}

// all is the text of tokens from the middle of a document.
func (s *speller) all(ids []int32) string {
	text := ""
	for _, id := range ids {
		if text += s.one(id); s.tokenizer == nil {
			text += " "
		}
	}
	return text
}

// one is the text of a single token.
func (s *speller) one(id int32) string {
	if s.tokenizer == nil {
		return fmt.Sprint(id)
	}
	piece, kind := s.tokenizer.Piece(id)
	if kind == tokens.NoKind {
		return fmt.Sprint(id)
	}
	return strings.ReplaceAll(page.Visible(piece), "\u2581", " ")
}
