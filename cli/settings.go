package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/urfave/cli/v2"
)

// maxSettings bounds a settings file: the parser takes time that grows with the square of hostile ones, and more.
const maxSettings = 1 << 14

// settings are the flags that a YAML file gives: one mapping, its keys the names of flags of any
// command, its values scalars, or lists where a flag takes several. It is read with go-yaml's parser
// rather than decoded, since values go to the flags as they are written and errors name the line; so
// there are no anchors, and a key that is unknown or stands twice is an error.
type settings struct {
	file    string
	entries []setting
}

type setting struct {
	key    string
	line   int
	values []string
}

// readSettings reads the file; an empty name gives no settings.
func readSettings(ctx context.Context, file string, app *cli.App) (*settings, error) {
	s := &settings{file: file}
	if file == "" {
		return s, nil
	}
	raw, err := readAtMost(ctx, file, maxSettings)
	if err != nil {
		return nil, usagef("--config: %w", err)
	}
	return s, s.parse(raw, allFlagNames(app))
}

// parse reads YAML whose keys are among the known ones.
func (s *settings) parse(raw []byte, known []string) error {
	doc, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return usagef("--config: %s: %s", s.file, firstLine(err))
	}
	for _, d := range doc.Docs {
		for _, entry := range mappings(d.Body) {
			if err := s.add(entry, known); err != nil {
				return err
			}
		}
		if _, isMap := d.Body.(ast.MapNode); d.Body != nil && !isMap {
			return usagef("--config: %s: want lines such as max-tokens: 100", s.file)
		}
	}
	return nil
}

func mappings(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func (s *settings) add(n *ast.MappingValueNode, known []string) error {
	e := setting{key: n.Key.String(), line: n.Key.GetToken().Position.Line}
	twice := slices.IndexFunc(s.entries, func(o setting) bool { return o.key == e.key })
	switch {
	case !slices.Contains(known, e.key) || e.key == "config":
		return s.blame(e, fmt.Errorf("unknown key %q%s", e.key, didYouMean("", strings.ReplaceAll(e.key, "_", "-"), known)))
	case twice >= 0:
		return s.blame(e, fmt.Errorf("%s stands twice, first in line %d", e.key, s.entries[twice].line))
	}
	items := []ast.Node{n.Value}
	if list, ok := n.Value.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		text, err := scalar(item)
		if err != nil {
			return s.blame(e, fmt.Errorf("%s: %w", e.key, err))
		}
		e.values = append(e.values, text)
	}
	s.entries = append(s.entries, e)
	return nil
}

// scalar is a value as it is written; strings lose their quotes.
func scalar(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("want a number, a string, true or false, or a list of them")
}

func (s *settings) blame(e setting, err error) error {
	return usagef("--config: %s: line %d: %w", s.file, e.line, err)
}

// apply sets the flags of a command (or of the program) that neither the command line nor the
// environment has set.
func (s *settings) apply(c *cli.Context) error {
	for _, e := range s.entries {
		flag := findFlag(c.Command.Flags, e.key)
		if flag == nil || c.IsSet(flag.Names()[0]) {
			continue
		}
		values := e.values
		if _, repeatable := flag.(*cli.StringSliceFlag); !repeatable {
			values = []string{strings.Join(values, ",")}
		}
		for _, v := range values {
			if err := c.Set(flag.Names()[0], v); err != nil {
				return s.blame(e, fmt.Errorf("%s: %q: want %s", e.key, v, wantedValue(c.Command.Flags, e.key)))
			}
		}
	}
	return nil
}

// firstLine keeps the finding of an error and drops the excerpt below it.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
