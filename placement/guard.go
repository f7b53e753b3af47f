package placement

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a file: about 1,300 rules.
const (
	maxBytes = 1 << 16
	maxLine  = 1 << 10 // bytes
	maxDepth = 3       // of brackets: a list in a mapping in a list
)

// guard refuses, before YAML is parsed, what no placement file has. The parser takes time that grows with the square of
// what it is given, and more where brackets and quotes stand in one another or are not closed: 256 KiB of them held it
// up for more than a minute. So it is only shown few and short lines of plain words with closed brackets and quotes.
func guard(raw []byte) error {
	if len(raw) > maxBytes {
		return fmt.Errorf("longer than %d bytes: name layers and experts by ranges, as 0-20", maxBytes)
	}
	var open []byte // brackets, with what closes them
	number := 0
	for line := range strings.Lines(string(raw)) {
		number++
		if len(line) > maxLine {
			return at(number, "longer than %d bytes: give a rule several lines, or name layers by ranges, as 0-20", maxLine)
		}
		words, err := plain(strings.TrimRight(line, "\r\n"))
		if err != nil {
			return at(number, "%w", err)
		}
		for i := range len(words) {
			switch c := words[i]; {
			case c == '[' || c == '{':
				open = append(open, c+2) // ']' and '}' lie two behind
				if len(open) > maxDepth {
					return at(number, "%d brackets in one another, want at most %d", len(open), maxDepth)
				}
			case c != ']' && c != '}':
			case len(open) == 0 || open[len(open)-1] != c:
				return at(number, "%q closes nothing", c)
			default:
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) > 0 {
		return at(number, "%q is missing at the end", open[len(open)-1])
	}
	return nil
}

// plain is a line without its comment and what is quoted, made of the signs that a placement file needs.
func plain(line string) (string, error) {
	var words strings.Builder
	pairs, brackets := 0, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		before := i == 0 || line[i-1] == ' '
		switch {
		case c == '#' && before:
			return words.String(), nil
		case c == '"' || c == '\'':
			n := strings.IndexByte(line[i+1:], c)
			if n < 0 {
				return "", fmt.Errorf("%c is not closed in this line", c)
			}
			i += 1 + n
			continue
		case c == ':' && i+1 < len(line) && line[i+1] >= '0' && line[i+1] <= '9': // of an address: a pair has a space there
		case c == ':':
			pairs++
		case c == '[' || c == '{':
			brackets = true
		case c == '-' && i+1 < len(line) && line[i+1] == ' ' && strings.Trim(line[:i], " ") != "":
			return "", fmt.Errorf(`"- " within a line: begin a line for each entry, or put them into []`)
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" _-.,]}/", c) >= 0:
		default:
			r, _ := utf8.DecodeRuneInString(line[i:])
			return "", fmt.Errorf("%q: a placement file has names, numbers, lists and mappings alone", r)
		}
		words.WriteByte(c)
	}
	if pairs > 1 && !brackets {
		return "", fmt.Errorf("%d colons, want one a line outside {}", pairs)
	}
	return words.String(), nil
}

// at puts the number of a line before an error.
func at(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}
