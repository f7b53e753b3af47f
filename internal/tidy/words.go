package tidy

import (
	"path"
	"regexp"
	"strings"
)

// words are patterns that no text file may have, and why. They are written in halves or with alternatives, so that
// this file does not find itself.
var words = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`), "what is left to do belongs in an issue, not in the code"},
	{regexp.MustCompile(`(?:^|[^\w.])(/(?:work|root|home|Users)/|[A-Za-z]:\\Users\\)`), "a path of somebody's computer means nothing on another"},
	{regexp.MustCompile(`\bshared/(?:docs|golden|demo|probes|data|yardstick)\b`), "the repository stands by itself: it names nothing that lies beside it"},
	{regexp.MustCompile(`(?i)\b(work` + `place|sub` + `agents?|coding ` + `agents?|ai ` + `assistants?|(?:this|earlier|previous|another|next) ` + `session)\b`), "the repository speaks of the project alone, not of how it came to be"},
}

// checkWords looks for the patterns of words in text files. Data of tests and checksums are as they are.
func checkWords(t tree, r *report) {
	for _, s := range t {
		if s.testdata() || path.Base(s.path) == "go.sum" {
			continue
		}
		for i, line := range s.lines {
			for _, w := range words {
				if m := w.pattern.FindStringSubmatch(line); m != nil {
					r.add(s.path, i+1, "%q: %s", m[len(m)-1], w.why)
				}
			}
		}
	}
}

var (
	mention = regexp.MustCompile(`[\w./-]*\w\.md\b`)
	address = regexp.MustCompile(`https?://\S+`)
)

// checkMentions wants every Markdown file that a comment or a text speaks of to be one of this repository's. What
// links point at is left to checkLinks.
func checkMentions(t tree, r *report) {
	known := map[string]bool{}
	for _, s := range t {
		known[path.Base(s.path)] = true
	}
	look := func(s *source, line int, text string) {
		for _, name := range mention.FindAllString(address.ReplaceAllString(text, ""), -1) {
			ok := known[name]
			if strings.Contains(name, "/") {
				ok = t.has(path.Join(path.Dir(s.path), name)) || t.has(path.Clean(name))
			}
			if !ok {
				r.add(s.path, line, "speaks of %s, which is not in this repository", name)
			}
		}
	}
	for _, s := range t {
		switch {
		case s.testdata():
		case s.file != nil:
			for _, group := range s.file.Comments {
				for _, c := range group.List {
					look(s, s.line(c), c.Text)
				}
			}
		case path.Ext(s.path) == ".md" || path.Ext(s.path) == ".yml":
			for i, line := range s.lines {
				look(s, i+1, linkForms[0].ReplaceAllString(line, "]"))
			}
		}
	}
}
