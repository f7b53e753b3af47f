package page

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"

	"troupe/lab/look"
	"troupe/router"
)

func path(experts ...int32) router.Path {
	p := router.Path{Start: []int32{0}}
	for _, e := range experts { // a layer each, and the next expert as second
		p.Expert, p.Gate = append(p.Expert, e, e+1), append(p.Gate, .75, .25)
		p.Start = append(p.Start, int32(len(p.Expert)))
	}
	return p
}

// made is the file of a page with these words in one text.
func made(t *testing.T, p *Page, words ...Word) string {
	t.Helper()
	var err error
	if p.Counts, err = look.NewCounts(2, 12); err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if w.Routed {
			p.Counts.Add(w.Path)
		}
	}
	p.Add("a text", words)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var span = regexp.MustCompile(`(?s)<span([^>]*)>([^<]*)</span>`)

func TestWordsAreShown(t *testing.T) {
	file := made(t, &Page{Title: "T", Layer: 1, Facts: []string{"model m"}}, Word{"Once", true, path(3, 8)}, Word{"\n", true, path(0, 1)}, Word{"", true, path(0, 1)}, Word{" end", false, router.Path{}})
	var got []string
	for _, m := range span.FindAllStringSubmatch(file[strings.Index(file, `<div class="text">`):], -1) {
		got = append(got, html.UnescapeString(strings.TrimSpace(m[1])+"|"+m[2]))
	}
	want := []string{
		`class="c0 s1" data-e="8" data-r="3 750 4 250;8 750 9 250" title="expert 8 75.0 %, expert 9 25.0 %"|Once`,
		`class="c1 s0" data-e="1" data-r="0 750 1 250;1 750 2 250" title="expert 1 75.0 %, expert 2 25.0 %"|↵`,
		`class="c1 s0" data-e="1" data-r="0 750 1 250;1 750 2 250" title="expert 1 75.0 %, expert 2 25.0 %"|·`,
		`title="no routing: the token was not computed"| end`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(file, ">↵</span>\n<span") {
		t.Error("a line break is not there")
	}
	for _, part := range []string{"<h2>a text</h2>", "model m", `aria-pressed="false" disabled>1</button> <span>66.7 %`, `<option selected>1</option>`, `class="numbers"`, `<tr class="on"><th scope="row">1</th>`} {
		if !strings.Contains(file, part) {
			t.Errorf("%s is not there", part)
		}
	}
}

// Whatever texts and names say, the page has no element, attribute or script of theirs.
func TestHostileTexts(t *testing.T) {
	evil := []string{"</span><script>alert(1)</script>", `" onmouseover="alert(1)`, "</div></style><img src=x onerror=alert(1)>", "<!--", "{{.Title}}", "javascript:alert(1)", "\x1b[2J\u202eabc"}
	words := []Word{}
	for _, e := range evil {
		words = append(words, Word{e, true, path(1, 2)})
	}
	p := &Page{Title: evil[0], Facts: evil}
	p.Add(evil[2], words)
	file := made(t, p, words...)
	plain := made(t, &Page{Title: "x", Facts: []string{"a", "b", "c", "d", "e", "f", "g"}}, append(words[:0:0], Word{"x", true, path(1, 2)})...)
	for _, tag := range []string{"<script", "</script", "</style", "<img", "<!--"} {
		if got, want := strings.Count(file, tag), strings.Count(plain, tag); got != want {
			t.Errorf("%d times %s, want %d", got, tag, want)
		}
	}
	for _, bad := range []string{`onmouseover="`, "\x1b", "\u202e"} {
		if strings.Contains(file, bad) {
			t.Errorf("%q is in it", bad)
		}
	}
}

// The page loads nothing, and its policy allows just the style and the script that are in it.
func TestStandsByItself(t *testing.T) {
	file := made(t, &Page{Title: "x"}, Word{"x", true, path(1, 2)})
	if m := regexp.MustCompile(`(?i)https?:|src=|@import|url\(|style="`).FindString(file); m != "" {
		t.Errorf("%q is in it", m)
	}
	meta := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(file)
	if meta == nil {
		t.Fatal("no policy")
	}
	csp := html.UnescapeString(meta[1])
	for _, tag := range []string{"style", "script"} {
		body := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindStringSubmatch(file)
		if body == nil || len(body[1]) < 500 {
			t.Fatalf("no %s", tag)
		}
		if want := fmt.Sprintf("%s-src '%s'", tag, hash(body[1])); !strings.Contains(csp, want) {
			t.Errorf("policy %q, want %q", csp, want)
		}
	}
	if !strings.HasPrefix(csp, "default-src 'none'; ") {
		t.Errorf("policy %q", csp)
	}
}

func TestLargeTexts(t *testing.T) {
	words := make([]Word, MaxWords+10)
	for i := range words {
		words[i] = Word{"x", true, path(1, 2)}
	}
	p := &Page{Title: "x"}
	file := made(t, p, words...)
	if shown, left := p.Words(); shown != MaxWords || left != 10 {
		t.Errorf("%d shown, %d left", shown, left)
	}
	if !strings.Contains(file, "20000 words are shown, 10 more did not fit") {
		t.Error("nothing says what was cut")
	}
	wide := Word{"x", true, router.Path{Start: []int32{0, 1 << 18}, Expert: make([]int32, 1<<18), Gate: make([]float32, 1<<18)}}
	p = &Page{}
	p.Add("", []Word{wide, wide, wide, wide, wide})
	if shown, left := p.Words(); shown != 4 || left != 1 {
		t.Errorf("words with many experts: %d shown, %d left", shown, left)
	}
}

func TestGatesAreNumbers(t *testing.T) {
	for g, want := range map[float32]int64{.1234: 123, float32(math.Inf(1)): 1e6, float32(math.Inf(-1)): -1e6} {
		if got := thousandths(g); got != want {
			t.Errorf("%v: %d, want %d", g, got, want)
		}
	}
	if thousandths(float32(math.NaN())) != 0 {
		t.Error("NaN")
	}
	if got := Visible("a\tb\x1b\x7f\u0085\u2066\nc"); got != "a\tb␛␡��\nc" {
		t.Errorf("%q", got)
	}
}
