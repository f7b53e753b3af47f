package page

import (
	"strings"
	"unicode"

	"troupe/router"
)

// Word is what one token adds to a text.
type Word struct {
	Text   string      // as it is; may be empty
	Routed bool        // Path is there
	Path   router.Path // of the token
}

// Visible is a text that can be shown: line breaks and tabs stay, other control characters, which could steer a
// terminal, are their pictures (U+2400…), and those that turn the direction of writing are U+FFFD.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x61c, r == 0x2028, r == 0x2029:
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// marked is a word as the page shows it, where line breaks are seen and a token without text has a place, and the
// breaks that it ends with.
func marked(text string) (word, breaks string) {
	if text == "" {
		return "·", ""
	}
	word = strings.TrimRight(Visible(text), "\n")
	breaks = strings.Repeat("\n", len(text)-len(strings.TrimRight(text, "\n")))
	return strings.ReplaceAll(word, "\n", "↵\n") + strings.Repeat("↵", len(breaks)), breaks
}
