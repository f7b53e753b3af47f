package tidy

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// source is a tracked file, read once for all checks.
type source struct {
	path  string
	size  int      // bytes
	lines []string // nil for a binary file
	fset  *token.FileSet
	file  *ast.File // nil unless it is a Go file
}

// load reads one file, and parses it when it is Go. It returns nil for a file that is not there or not a plain file.
func load(fsys fs.FS, name string) (*source, error) {
	if info, err := fs.Stat(fsys, name); errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	s := &source{path: name, size: len(data)}
	if bytes.IndexByte(data[:min(len(data), 8000)], 0) < 0 { // what git takes for text, too
		s.lines = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	if path.Ext(name) == ".go" && !s.testdata() {
		s.fset = token.NewFileSet()
		s.file, err = parser.ParseFile(s.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	}
	return s, err
}

// line gives the line number of a node of a Go file.
func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// testdata says that the file is data for tests, which is kept as it was made.
func (s *source) testdata() bool { return strings.Contains("/"+s.path, "/testdata/") }

// find returns the source of a path, or nil.
func (t tree) find(name string) *source {
	for _, s := range t {
		if s.path == name {
			return s
		}
	}
	return nil
}

// has says whether a path is a tracked file or a folder with one.
func (t tree) has(name string) bool {
	for _, s := range t {
		if s.path == name || name == "." || strings.HasPrefix(s.path, name+"/") {
			return true
		}
	}
	return false
}
