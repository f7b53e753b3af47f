package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of JSONL input: a million tokens of text are some 4 MB.
const maxLine = 64 << 20

// jsonLines yields the lines of JSONL with their numbers from 1, but for empty ones. A line is valid
// until the next. An error of reading ends the sequence.
func jsonLines(r io.Reader) iter.Seq2[jsonLine, error] {
	return func(yield func(jsonLine, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 64<<10), maxLine)
		n := 0
		for s.Scan() {
			n++
			text := bytes.TrimSpace(s.Bytes())
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			if len(text) > 0 && !yield(jsonLine{n, text}, nil) {
				return
			}
		}
		if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(jsonLine{}, fmt.Errorf("line %d: longer than %d bytes: is this JSONL?", n+1, maxLine))
		} else if err != nil {
			yield(jsonLine{}, err)
		}
	}
}

type jsonLine struct {
	number int
	text   []byte
}

// decode reads a line into the struct that v points to. Unknown keys are errors, with the known one that
// resembles them; so is text that is not UTF-8, which encoding/json would change silently.
func (l jsonLine) decode(v any) error {
	if !utf8.Valid(l.text) {
		return fmt.Errorf("line %d: not UTF-8", l.number)
	}
	d := json.NewDecoder(bytes.NewReader(l.text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d: %w", l.number, explainJSON(err, v))
}

func explainJSON(err error, v any) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return fmt.Errorf("JSON %s, want an object such as {%q: …}", wrong.Value, jsonKeys(v)[0])
		}
		return fmt.Errorf("%s: %s, want %s", wrong.Field, wrong.Value, jsonType(wrong.Type))
	}
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	if !unknown {
		return err
	}
	name = strings.Trim(name, `"`)
	return fmt.Errorf("unknown key %q%s", name, didYouMean("", name, jsonKeys(v)))
}

// jsonKeys lists the keys of the struct that v points to.
func jsonKeys(v any) (keys []string) {
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, name)
	}
	return keys
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Uint64:
		return "an integer from 0"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "a " + t.Kind().String()
}

// writeJSON writes a value as one line.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
