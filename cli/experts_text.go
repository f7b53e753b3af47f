package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	width "github.com/jedib0t/go-pretty/v6/text"

	"troupe/lab/page"
	"troupe/lab/palette"
)

// textView shows texts by expert on a terminal.
type textView struct {
	ink     ink
	columns int
	experts int   // of a layer
	layers  []int // one: the text in its colours; several: a line a token
}

// likeliest is the first expert of a word in a layer, -1 if it has none.
func likeliest(w *page.Word, layer int) int {
	if !w.Routed {
		return -1
	}
	if experts, _ := w.Path.At(layer); len(experts) > 0 {
		return int(experts[0])
	}
	return -1
}

// write shows a text.
func (v *textView) write(out io.Writer, words []page.Word) error {
	var b strings.Builder
	if len(v.layers) == 1 {
		v.running(&b, words)
	} else {
		v.strips(&b, words)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// glyph is a character with its expert; -1: none.
type glyph struct {
	char   rune
	expert int
}

// running is the text as it runs, on a terminal with lines that break between words.
func (v *textView) running(b *strings.Builder, words []page.Word) {
	var line []glyph
	for _, g := range v.glyphs(words) {
		if g.char != '\n' {
			line = append(line, g)
			continue
		}
		v.lines(b, line)
		line = line[:0]
	}
	v.lines(b, line)
}

// glyphs are the characters of a text. Where colours do not tell experts apart, their numbers stand behind what each
// of them has in one go; where they do, line breaks are seen, as they have an expert as well.
func (v *textView) glyphs(words []page.Word) (all []glyph) {
	for from := 0; from < len(words); {
		e, text, to := likeliest(&words[from], v.layers[0]), "", from
		for ; to < len(words) && likeliest(&words[to], v.layers[0]) == e; to++ {
			text += page.Visible(words[to].Text)
		}
		from = to
		body := strings.TrimRight(text, "\n")
		breaks := text[len(body):]
		if e >= 0 && (v.ink == noInk || v.experts > palette.NumExperts) {
			body += raised(e)
		}
		for _, r := range body + breaks {
			if r == '\n' && e >= 0 && v.ink != noInk {
				all = append(all, glyph{'↵', e})
			}
			all = append(all, glyph{r, e})
		}
	}
	return all
}

// lines writes a line of the text as lines of the terminal. No colour goes on behind the end of a line.
func (v *textView) lines(b *strings.Builder, line []glyph) {
	for {
		n := len(line)
		if v.ink != noInk {
			n = fitting(line, v.columns)
		}
		for from := 0; from < n; {
			to, text := from, ""
			for ; to < n && line[to].expert == line[from].expert; to++ {
				text += string(line[to].char)
			}
			if e := line[from].expert; e >= 0 {
				text = v.ink.expert(e, text)
			}
			b.WriteString(text)
			from = to
		}
		b.WriteByte('\n')
		if line = line[n:]; len(line) == 0 {
			return
		}
	}
}

// fitting is how many characters stand in so many columns: up to the last space, if there is one.
func fitting(line []glyph, columns int) int {
	used, space := 0, 0
	for i, g := range line {
		if used += width.StringWidth(string(g.char)); used > columns {
			if space > 0 {
				return space
			}
			return max(i, 1)
		}
		if g.char == ' ' || g.char == '\t' {
			space = i + 1
		}
	}
	return len(line)
}

const (
	wordColumns = 16 // of a token in front of its experts
	cellColumns = 4  // of an expert's number
)

// strips are lines with a token and its likeliest expert in each layer; where the layers do not fit, they come in
// blocks.
func (v *textView) strips(b *strings.Builder, words []page.Word) {
	size := max((v.columns-wordColumns-1)/cellColumns, 1)
	for layers := range slices.Chunk(v.layers, size) {
		head := fmt.Sprintf("%*s ", wordColumns, "layer")
		for _, l := range layers {
			head += fmt.Sprintf("%*d ", cellColumns-1, l)
		}
		b.WriteString(strings.TrimRight(head, " ") + "\n")
		for i := range words {
			line := fitted(words[i].Text, wordColumns) + " "
			for _, l := range layers {
				if e := likeliest(&words[i], l); e >= 0 {
					line += v.ink.expert(e, fmt.Sprintf("%*d ", cellColumns-1, e))
				} else {
					line += "  - "
				}
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
}

// fitted is a token in so many columns, with its spaces seen.
func fitted(text string, columns int) string {
	text = shown(text)
	if n := width.StringWidth(text); n <= columns {
		return text + strings.Repeat(" ", columns-n)
	}
	return width.Snip(text, columns, "…")
}

// longLegend is from where on a legend leaves out those that no word has.
const longLegend = 32

// legend are the experts with their part of the words, in per cent.
func (v *textView) legend(first []int64) string {
	all := int64(0)
	for _, n := range first {
		all += n
	}
	var b strings.Builder
	digits := len(fmt.Sprint(len(first) - 1))
	line := 0
	for e, n := range first {
		if n == 0 && len(first) > longLegend {
			continue
		}
		text := fmt.Sprintf(" %*d ", digits, e)
		share := fmt.Sprintf(" %4.1f ", 100*float64(n)/float64(max(all, 1)))
		if line += len(text) + len(share) + 1; line > v.columns {
			b.WriteString("\n")
			line = len(text) + len(share) + 1
		}
		b.WriteString(v.ink.expert(e, text) + share + " ")
	}
	b.WriteString("\n")
	return b.String()
}
