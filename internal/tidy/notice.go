package tidy

import "regexp"

var (
	required = regexp.MustCompile(`^(?:require )?\s*([\w.-]+\.[\w.-]+/\S+) v\S+`) // a line of go.mod
	credited = regexp.MustCompile(`^  ([\w.-]+\.[\w.-]+/\S+)\s{2,}\S+\s{2,}\S`)   // a line of NOTICE: module, licence, holder
)

// checkNotice wants NOTICE to name the modules of go.mod, with a licence each, and no others.
func checkNotice(t tree, r *report) {
	mod, notice := t.find("go.mod"), t.find("NOTICE")
	if mod == nil || notice == nil {
		r.add("NOTICE", 0, "go.mod and NOTICE have to be there")
		return
	}
	uses, names := matching(mod, required), matching(notice, credited)
	for module, line := range uses {
		if names[module] == 0 {
			r.add(mod.path, line, "%s is not in NOTICE: add it with its licence and holder", module)
		}
	}
	for module, line := range names {
		if uses[module] == 0 {
			r.add(notice.path, line, "%s is not in go.mod: take it out", module)
		}
	}
}

// matching gives the first group of the pattern in each line that matches, with the line's number.
func matching(s *source, pattern *regexp.Regexp) map[string]int {
	found := map[string]int{}
	for i, line := range s.lines {
		if m := pattern.FindStringSubmatch(line); m != nil {
			found[m[1]] = i + 1
		}
	}
	return found
}
