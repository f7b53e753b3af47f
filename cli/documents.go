package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"troupe/model/demo"
	"troupe/tokens"
)

// document is a text to judge.
type document struct {
	line   int // of the file; 0: the file is the document
	domain string
	text   string
	ids    []int32 // with EOS, if wanted
}

// maxDocument bounds a .txt file.
const maxDocument = maxLine

// readDocuments reads a .txt file as one document, or the "text" of every line of a .jsonl file. Other keys
// than "text" and "domain" are the file's own affair.
func readDocuments(ctx context.Context, file string) ([]document, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".txt":
		raw, err := readAtMost(ctx, file, maxDocument)
		if err == nil && !utf8.Valid(raw) {
			err = fmt.Errorf("%s: not UTF-8", file)
		}
		return []document{{text: string(raw)}}, err
	case ".jsonl":
	default:
		return nil, badFlag("text", fmt.Errorf("%s: want a .txt or a .jsonl file", file))
	}
	return await(ctx, func() ([]document, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		list, err := documentLines(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return list, nil
	})
}

// documentLines reads the documents of JSONL.
func documentLines(r io.Reader) (list []document, err error) {
	for line, err := range jsonLines(r) {
		if err != nil {
			return nil, err
		}
		d, err := line.document()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line.number, err)
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, errors.New(`no documents: want lines such as {"text": "…", "domain": "tales"}`)
	}
	return list, nil
}

// heldOut is the name of the text that ships with the embedded demo.
const heldOut = "the demo's held-out text"

// defaultDocuments are what a model is judged by when no text is given: the embedded demo has one.
func (l launch) defaultDocuments() ([]document, error) {
	if !l.dir.embedded() {
		return nil, usagef("--text: no file: say what to judge")
	}
	return documentLines(strings.NewReader(demo.HeldOut()))
}

func (l jsonLine) document() (document, error) {
	var d struct {
		Text   *string `json:"text"`
		Domain string  `json:"domain"`
	}
	if !utf8.Valid(l.text) {
		return document{}, errors.New("not UTF-8")
	}
	if err := json.Unmarshal(l.text, &d); err != nil {
		return document{}, explainJSON(err, &d)
	}
	if d.Text == nil {
		return document{}, errors.New("no text")
	}
	return document{line: l.number, domain: d.Domain, text: *d.Text}, nil
}

// encode gives every document its ids. A document that does not fit the context is an error: cut, it
// would be another document.
func encodeDocuments(list []document, t *tokens.Tokenizer, eos int32, sequenceLen int) error {
	for i := range list {
		d := &list[i]
		if d.ids = t.Encode(d.text); eos >= 0 {
			d.ids = append(d.ids, eos)
		}
		if len(d.ids) > sequenceLen {
			where := "the document"
			if d.line > 0 {
				where = fmt.Sprintf("line %d", d.line)
			}
			return fmt.Errorf("%s: %d tokens, want at most the context of %d: cut it into documents", where, len(d.ids), sequenceLen)
		}
	}
	return nil
}
