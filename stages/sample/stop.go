package sample

import (
	"fmt"
	"unicode/utf8"
)

// Bounds of stop strings: each byte of text costs a step for every string.
const (
	StopsMax     = 64   // strings
	StopBytesMax = 1024 // bytes of a string
)

// Stop looks for stop strings in text that arrives in pieces. What it finds does not depend on how the
// text is cut: the first byte that completes a stop string ends the text, just before that string
// (before the longest one, when several end there). Text that may be the beginning of a stop string is
// held back. The zero Stop has no stop strings and passes everything.
type Stop struct {
	patterns []pattern
	held     []byte // the longest end of the text so far that begins a stop string
	hit      bool
}

// pattern is a stop string in Knuth-Morris-Pratt form.
type pattern struct {
	text    string
	border  []int // [len(text)] of each beginning: its longest proper beginning that is also its end
	matched int   // bytes of text that the latest bytes match
}

// NewStop makes a matcher of stop strings, which are not empty and are valid UTF-8.
func NewStop(stops []string) (*Stop, error) {
	if len(stops) > StopsMax {
		return nil, fmt.Errorf("sample: %d stop strings, want at most %d", len(stops), StopsMax)
	}
	s := &Stop{}
	for i, text := range stops {
		switch {
		case text == "":
			return nil, fmt.Errorf("sample: stop string %d is empty: leave it out", i)
		case len(text) > StopBytesMax:
			return nil, fmt.Errorf("sample: stop string %d has %d bytes, want at most %d", i, len(text), StopBytesMax)
		case !utf8.ValidString(text):
			return nil, fmt.Errorf("sample: stop string %d, %q, is not valid UTF-8 and would never be found", i, text)
		}
		p := pattern{text: text, border: make([]int, len(text))}
		for at := 1; at < len(text); at++ {
			p.border[at] = p.step(p.border[at-1], text[at])
		}
		s.patterns = append(s.patterns, p)
	}
	return s, nil
}

// step is the length of the match after one more byte, from a match that is not complete.
func (p *pattern) step(matched int, b byte) int {
	for matched > 0 && p.text[matched] != b {
		matched = p.border[matched-1]
	}
	if p.text[matched] == b {
		matched++
	}
	return matched
}

// Push takes the next piece of text. It returns the text that can be emitted, held text of before
// included, and whether a stop string was found; after that everything is swallowed.
func (s *Stop) Push(piece string) (emit string, hit bool) {
	if s.hit {
		return "", true
	}
	if len(s.patterns) == 0 {
		return piece, false
	}
	text := string(s.held) + piece
	for at := len(s.held); at < len(text); at++ {
		found := 0
		for i := range s.patterns {
			p := &s.patterns[i]
			if p.matched = p.step(p.matched, text[at]); p.matched == len(p.text) {
				found = max(found, len(p.text))
			}
		}
		if found > 0 {
			s.hit, s.held = true, nil
			return text[:at+1-found], true
		}
	}
	begun := 0
	for _, p := range s.patterns {
		begun = max(begun, p.matched)
	}
	s.held = append(s.held[:0], text[len(text)-begun:]...)
	return text[:len(text)-begun], false
}

// Flush gives the text held back, at the end of a text without a stop string.
func (s *Stop) Flush() string {
	held := string(s.held)
	s.held = s.held[:0]
	return held
}
