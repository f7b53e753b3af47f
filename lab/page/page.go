package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"troupe/lab/look"
	"troupe/lab/palette"
	"troupe/router"
)

const (
	// MaxWords is the most words of a page, of all texts together: browsers get slow beyond.
	MaxWords = 20_000
	// maxPairs bounds the experts of all words and layers, of about 7 bytes each.
	maxPairs = 1 << 20
	// maxCells is the largest heat map.
	maxCells = 1 << 13
	shades   = 24 // of the heat map
)

// Page is what is shown.
type Page struct {
	Title  string
	Facts  []string // of the run: model, policy and the like
	Layer  int      // that is shown first, and without JavaScript the only one
	Counts *look.Counts
	Texts  []Text

	words, pairs int
	left         int // words that did not fit
}

// Text is one document.
type Text struct {
	Name  string // may be empty
	Words []Word
}

// Add adds a text as far as it fits.
func (p *Page) Add(name string, words []Word) {
	n := 0
	for n < len(words) && p.words < MaxWords && p.pairs+len(words[n].Path.Expert) <= maxPairs {
		p.pairs += len(words[n].Path.Expert)
		p.words++
		n++
	}
	p.left += len(words) - n
	if n > 0 || len(words) == 0 {
		p.Texts = append(p.Texts, Text{name, words[:n]})
	}
}

// Words is how many words the page has, and how many did not fit.
func (p *Page) Words() (shown, left int) { return p.words, p.left }

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	layout = template.Must(template.New("page").Funcs(template.FuncMap{"class": classOf}).Parse(pageHTML))
	style  = pageCSS + colourCSS()
	policy = fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'", hash(pageJS), hash(style))
)

// hash is how a Content-Security-Policy names a script or style.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// colourCSS are the classes of experts (c0…) and of the shades of the heat map (h0…).
func colourCSS() string {
	var b strings.Builder
	rule := func(class string, i int, c palette.Colour) {
		fmt.Fprintf(&b, ".%s%d{background:%s;color:%s}\n", class, i, c.Hex(), c.Ink().Hex())
	}
	for e := range palette.NumExperts {
		c, _ := palette.Expert(e)
		rule("c", e, c)
	}
	for i := range shades {
		rule("h", i, palette.Sequential(float64(i)/(shades-1)))
	}
	return b.String()
}

// styles is how many ways there are to tell apart experts of the same colour.
const styles = 4

// classOf is the look of an expert.
func classOf(e int) string {
	_, style := palette.Expert(e)
	return fmt.Sprintf("c%d s%d", e%palette.NumExperts, style%styles)
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	var b bytes.Buffer
	if err := layout.Execute(&b, p.view()); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// view is what the template is given.
type view struct {
	Title   string
	Facts   []string
	Layer   int
	Counts  *look.Counts
	Policy  string
	Style   template.CSS
	Script  template.JS
	Numbers bool // experts have too many looks to be told apart by them alone
	Colours int
	Styles  int
	Legend  []legend
	Heat    [][]cell // [layers][experts]; nil: too large
	Lowest  string   // shares at the ends of the scale
	Highest string
	Scale   []int
	Shown   []shownText
	Cut     string // what did not fit
}

// legend is an expert of the layer that is shown first.
type legend struct {
	Expert int
	Share  string // of the words that are shown
}

type cell struct {
	Shade int
	Text  string
}

type shownText struct {
	Name  string
	Words []shownWord
}

type shownWord struct {
	Text, Breaks   string // line breaks stand behind the word
	Routing, Title string
	First          int // expert; -1: none
}

func (p *Page) view() *view {
	v := &view{Title: Visible(p.Title), Layer: p.Layer, Counts: p.Counts, Policy: policy, Style: template.CSS(style), Script: template.JS(pageJS),
		Numbers: p.Counts.Experts > palette.NumExperts, Colours: palette.NumExperts, Styles: styles}
	for _, f := range p.Facts {
		v.Facts = append(v.Facts, Visible(f))
	}
	v.heat()
	first, all := make([]int, p.Counts.Experts), 0
	for _, t := range p.Texts {
		s := shownText{Name: Visible(t.Name)}
		for i := range t.Words {
			word := p.show(&t.Words[i])
			if s.Words = append(s.Words, word); word.First >= 0 {
				first[word.First]++
				all++
			}
		}
		v.Shown = append(v.Shown, s)
	}
	for e, n := range first {
		v.Legend = append(v.Legend, legend{e, percent(float64(n) / float64(max(all, 1)))})
	}
	if p.left > 0 {
		v.Cut = fmt.Sprintf("%d words are shown, %d more did not fit on the page; the heat map is of all.", p.words, p.left)
	}
	return v
}

// heat makes the map of shares; its scale ends at the largest share.
func (v *view) heat() {
	c := v.Counts
	if c.Layers*c.Experts > maxCells {
		return
	}
	highest := 0.0
	for l := range c.Layers {
		for _, s := range c.Share(look.Use, l) {
			highest = max(highest, s)
		}
	}
	for l := range c.Layers {
		var row []cell
		for _, s := range c.Share(look.Use, l) {
			row = append(row, cell{int(s / max(highest, 1e-9) * (shades - 1)), strconv.FormatFloat(100*s, 'f', 1, 64)})
		}
		v.Heat = append(v.Heat, row)
	}
	v.Lowest, v.Highest = percent(0), percent(highest)
	for i := range shades {
		v.Scale = append(v.Scale, i)
	}
}

func (p *Page) show(w *Word) shownWord {
	s := shownWord{First: -1}
	s.Text, s.Breaks = marked(w.Text)
	if !w.Routed {
		s.Title = "no routing: the token was not computed"
		return s
	}
	s.Routing = routingText(w.Path)
	experts, gates := w.Path.At(p.Layer)
	for i, e := range experts {
		if i == 0 {
			s.First = int(e)
		} else {
			s.Title += ", "
		}
		s.Title += fmt.Sprintf("expert %d %s", e, percent(float64(gates[i])))
	}
	return s
}

// routingText is "3 612 5 388;…": for each layer the experts and their gates in thousandths, by rank.
func routingText(path router.Path) string {
	var b []byte
	for l := range path.Layers() {
		if l > 0 {
			b = append(b, ';')
		}
		experts, gates := path.At(l)
		for i, e := range experts {
			if i > 0 {
				b = append(b, ' ')
			}
			b = strconv.AppendInt(b, int64(e), 10)
			b = append(b, ' ')
			b = strconv.AppendInt(b, thousandths(gates[i]), 10)
		}
	}
	return string(b)
}

// thousandths bounds what a file may have as a gate.
func thousandths(g float32) int64 {
	v := math.Round(1000 * float64(g))
	if math.IsNaN(v) {
		return 0
	}
	return int64(min(max(v, -1e6), 1e6))
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }
