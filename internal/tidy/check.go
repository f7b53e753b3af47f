package tidy

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
)

// Finding is one thing to mend.
type Finding struct {
	File    string // slash-separated, from the root
	Line    int    // from 1; 0 for the file as a whole
	Message string
}

// String gives the form that editors jump to.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// tree is what the checks look at: the sources, in the order of their paths.
type tree []*source

// checks are run in turn; each is a function of the tree alone and appends what it finds.
var checks = []func(tree, *report){
	checkPackageDocs, checkExportedDocs, checkFileLength, checkFileSize, checkWords, checkMentions, checkCalls, checkLinks, checkNotice,
}

// report collects findings.
type report struct{ found []Finding }

func (r *report) add(file string, line int, format string, args ...any) {
	r.found = append(r.found, Finding{file, line, fmt.Sprintf(format, args...)})
}

// Check runs all checks over the named files of fsys and returns the findings sorted by file and line. A file that
// is named but not there is passed over: it has been removed and not yet committed. The error is one of reading,
// or of parsing a Go file.
func Check(fsys fs.FS, files []string) ([]Finding, error) {
	var t tree
	for _, name := range slices.Sorted(slices.Values(files)) {
		s, err := load(fsys, name)
		if err != nil {
			return nil, err
		}
		if s != nil {
			t = append(t, s)
		}
	}
	var r report
	for _, check := range checks {
		check(t, &r)
	}
	slices.SortStableFunc(r.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return r.found, nil
}
