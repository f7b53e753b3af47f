package placement

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"troupe/model"
	"troupe/stages/place"
)

// maxNumber bounds layers, experts and lists; what a model has is compared later.
const maxNumber = 1 << 16

// mapping is a YAML mapping with known keys.
type mapping struct {
	where  string // "devices"; "" for the file as a whole
	line   int
	values map[string]ast.Node
	lines  map[string]int // of the keys
}

// readMapping reads a mapping whose keys are among the known ones.
func readMapping(n ast.Node, where string, known ...string) (*mapping, error) {
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		return nil, at(lineOf(n), "%swant a mapping of %s", prefix(where), strings.Join(known, ", "))
	}
	m := &mapping{where: where, line: lineOf(n), values: map[string]ast.Node{}, lines: map[string]int{}}
	if len(entries) > 0 {
		m.line = lineOf(entries[0].Key)
	}
	for _, e := range entries {
		key := e.Key.String()
		if s, ok := e.Key.(*ast.StringNode); ok {
			key = s.Value // without quotes
		}
		line := lineOf(e.Key)
		if !slices.Contains(known, key) {
			return nil, at(line, "%sunknown key %.40q, want %s%s", prefix(where), key, choice(known), near(key, known))
		}
		if first, twice := m.lines[key]; twice {
			return nil, at(line, "%s%s stands twice, first in line %d", prefix(where), key, first)
		}
		m.values[key], m.lines[key] = e.Value, line
	}
	return m, nil
}

// readList reads a list of at most so many entries.
func readList(n ast.Node, where string, most int) ([]ast.Node, error) {
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		return nil, at(lineOf(n), "%s: want a list, a line for each entry with \"- \" before it", where)
	}
	if len(list.Values) > most {
		return nil, at(lineOf(n), "%s: %d entries, want at most %d", where, len(list.Values), most)
	}
	return list.Values, nil
}

func (m *mapping) has(key string) bool { return m.values[key] != nil }

// lineOf is the line of a key, or of the mapping where the key is missing.
func (m *mapping) lineOf(key string) int {
	if line, ok := m.lines[key]; ok {
		return line
	}
	return m.line
}

// text reads a word or number as it is written, without quotes.
func (m *mapping) text(key string) (string, error) {
	n := m.values[key]
	if n == nil {
		return "", at(m.line, "%s: %s is missing", m.where, key)
	}
	s, ok := scalar(n)
	if !ok || s == "" {
		return "", at(m.lineOf(key), "%s: %s: want a single value", m.where, key)
	}
	return s, nil
}

// number reads an integer within bounds.
func (m *mapping) number(key string, least, most int) (int, error) {
	s, err := m.text(key)
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < least || v > most {
		return 0, at(m.lineOf(key), "%s: %s %.40q, want %d to %d", m.where, key, s, least, most)
	}
	return v, nil
}

func (m *mapping) readBytes(key string, bytes *int64) error {
	s, err := m.text(key)
	if err == nil {
		if *bytes, err = place.ParseBytes(s); err != nil {
			err = at(m.lineOf(key), "%s: %s: %w", m.where, key, err)
		}
	}
	return err
}

// ranges reads "0-20", "0-2,5", or a list of such.
func (m *mapping) ranges(key string) (list []Range, err error) {
	n := m.values[key]
	items := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		items = s.Values
	} else if _, err := m.text(key); err != nil {
		return nil, err
	}
	for _, item := range items {
		s, ok := scalar(item)
		if !ok {
			return nil, at(m.lineOf(key), `%s: %s: want a list of single values, as [0, 2-5]`, m.where, key)
		}
		for part := range strings.SplitSeq(s, ",") {
			r, err := readRange(strings.TrimSpace(part))
			if err != nil {
				return nil, at(m.lineOf(key), "%s: %s: %w", m.where, key, err)
			}
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, at(m.lineOf(key), "%s: %s: empty, want numbers, as 0-2", m.where, key)
	}
	return list, nil
}

func readRange(s string) (r Range, err error) {
	first, last, several := strings.Cut(s, "-")
	if !several {
		last = first
	}
	r.First, err = strconv.Atoi(first)
	if err == nil {
		r.Last, err = strconv.Atoi(last)
	}
	if err != nil || r.First < 0 || r.Last < r.First || r.Last > maxNumber || strings.HasPrefix(last, "+") || strings.HasPrefix(first, "+") {
		return r, fmt.Errorf("%.40q, want a number or an ascending range, as 5 or 0-20", s)
	}
	return r, nil
}

// scalar is a value as it is written; strings lose their quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		t := n.GetToken()
		return strings.TrimSpace(t.Value), true
	}
	return "", false
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

func prefix(where string) string {
	if where == "" {
		return ""
	}
	return where + ": "
}

func near(name string, known []string) string {
	if len(name) > 40 {
		return ""
	}
	if n := model.Nearest(name, known); n != "" {
		return fmt.Sprintf(": did you mean %s?", n)
	}
	return ""
}

var position = regexp.MustCompile(`^\[(\d+):\d+\] `)

// syntax is a parser's error in the form of the others: its finding, without the excerpt below.
func syntax(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if m := position.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("line %s: %s", m[1], text[len(m[0]):])
	}
	return errors.New(text)
}
