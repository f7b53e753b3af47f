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

// running is the text as it runs: words with the same expert are one piece. Where colours do not tell experts apart,
// their numbers stand behind the pieces.
func (v *textView) running(b *strings.Builder, words []page.Word) {
	for from := 0; from < len(words); {
		e, text, to := likeliest(&words[from], v.layers[0]), "", from
		for ; to < len(words) && likeliest(&words[to], v.layers[0]) == e; to++ {
			text += page.Visible(words[to].Text)
		}
		v.piece(b, e, text)
		from = to
	}
	b.WriteString("\n")
}

// piece is a text of one expert; a colour ends where its line does.
func (v *textView) piece(b *strings.Builder, e int, text string) {
	if e < 0 {
		b.WriteString(text)
		return
	}
	number := ""
	if v.ink == noInk || v.experts > palette.NumExperts {
		number = raised(e)
	}
	body := strings.TrimRight(text, "\n")
	breaks := text[len(body):]
	if v.ink != noInk && breaks != "" {
		body += "↵" // which has an expert as well
	}
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		if i == len(lines)-1 {
			line += number
		} else if v.ink != noInk {
			line += "↵"
		}
		if line != "" {
			b.WriteString(v.ink.expert(e, line))
		}
		if i < len(lines)-1 {
			b.WriteByte('\n')
		}
	}
	b.WriteString(breaks)
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
		fmt.Fprintf(b, "%*s", wordColumns+1, "layer ")
		for _, l := range layers {
			fmt.Fprintf(b, "%-*d", cellColumns, l)
		}
		b.WriteString("\n")
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
