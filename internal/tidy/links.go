package tidy

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	linkForms = []*regexp.Regexp{
		regexp.MustCompile(`\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)`), // [text](target "title"), ![text](target)
		regexp.MustCompile(`^\s*\[[^\]]+\]:\s+(\S+)`),             // [name]: target
		regexp.MustCompile(`\b(?:src|href)="([^"]+)"`),            // HTML
	}
	codeSpan = regexp.MustCompile("`[^`]*`")
	scheme   = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]*:|//)`)
	heading  = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	anchorID = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
)

// checkLinks follows the relative links of Markdown files: to a tracked file or folder, and to a heading if the
// target is Markdown. Addresses on the web are not followed: a test needs no network.
func checkLinks(t tree, r *report) {
	for _, s := range t {
		if path.Ext(s.path) != ".md" || s.testdata() {
			continue
		}
		eachProse(s, func(number int, line string) {
			line = codeSpan.ReplaceAllString(line, "")
			for _, form := range linkForms {
				for _, m := range form.FindAllStringSubmatch(line, -1) {
					if why := follow(t, s, m[1]); why != "" {
						r.add(s.path, number, "link %s: %s", m[1], why)
					}
				}
			}
		})
	}
}

// follow returns what is wrong with a link of the file, or "".
func follow(t tree, from *source, link string) string {
	if scheme.MatchString(link) {
		return ""
	}
	target, anchor, _ := strings.Cut(link, "#")
	target, err := url.PathUnescape(target)
	if err != nil {
		return err.Error()
	}
	name := from.path
	if target != "" {
		name = path.Join(path.Dir(from.path), target)
	}
	if strings.HasPrefix(target, "/") || !t.has(name) {
		return "no such file in this repository"
	}
	if to := t.find(name); anchor != "" && to != nil && path.Ext(name) == ".md" && !anchors(to)[anchor] {
		return "no such heading in " + name
	}
	return ""
}

// anchors are the names that GitHub gives the headings of a Markdown file: lower case, without punctuation, spaces as
// hyphens, a number behind the second of the same name.
func anchors(s *source) map[string]bool {
	names := map[string]bool{}
	eachProse(s, func(_ int, line string) {
		for _, m := range anchorID.FindAllStringSubmatch(line, -1) {
			names[m[1]] = true
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			return
		}
		text := linkForms[0].ReplaceAllString(m[1], "") // the target of a link in a heading is not part of its name
		slug := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsNumber(c):
				return unicode.ToLower(c)
			}
			return -1
		}, text)
		name := slug
		for n := 1; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", slug, n)
		}
		names[name] = true
	})
	return names
}

// eachProse calls f for the lines outside fenced code, with their numbers from 1.
func eachProse(s *source, f func(number int, line string)) {
	fence := ""
	for i, line := range s.lines {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence == "" && (strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")):
			fence = trimmed[:3]
		case fence == "":
			f(i+1, line)
		case strings.HasPrefix(trimmed, fence):
			fence = ""
		}
	}
}
