package tidy

import (
	"go/ast"
	"strings"
)

const (
	maxLines     = 400       // of a Go file; most have 100 to 250
	maxTestLines = 600       // cases are long, but read one at a time
	maxBytes     = 1_600_000 // of any file: every clone carries it for good
	headerLines  = 12        // where a longer file says that it is one piece
)

// large are the files that may exceed maxBytes, with the reason.
var large = map[string]string{}

// checkFileLength asks for a look at long Go files. A file may be longer if its first lines have the words
// "one piece" and say why.
func checkFileLength(t tree, r *report) {
	for _, s := range t {
		if s.file == nil || ast.IsGenerated(s.file) {
			continue
		}
		limit := maxLines
		if s.test() {
			limit = maxTestLines
		}
		header := strings.Join(s.lines[:min(len(s.lines), headerLines)], "\n")
		if n := len(s.lines); n > limit && !strings.Contains(header, "one piece") {
			r.add(s.path, 0, "%d lines, want at most %d: one noun a file, or say in the first lines why it is one piece", n, limit)
		}
	}
}

// checkFileSize keeps the clone small.
func checkFileSize(t tree, r *report) {
	for _, s := range t {
		if s.size > maxBytes && large[s.path] == "" {
			r.add(s.path, 0, "%d bytes, want at most %d: compress it, make it in the test, or give the reason in internal/tidy/size.go", s.size, maxBytes)
		}
	}
	for name := range large {
		if s := t.find(name); s == nil || s.size <= maxBytes {
			r.add("internal/tidy/size.go", 0, "%s is listed as large, but is not there or not large: take it out", name)
		}
	}
}
