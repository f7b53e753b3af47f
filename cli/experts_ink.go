package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"troupe/lab/palette"
)

// ink paints on a terminal. Every colour comes with that of its text, so that it is read on any ground.
type ink int

// What a terminal can show.
const (
	noInk   ink = iota // a pipe, or NO_COLOR
	ink256             // the 256 colours of xterm
	fullInk            // 24 bits
)

// ink is that of standard output.
func (p *program) ink() ink {
	switch {
	case !p.colours():
		return noInk
	case os.Getenv("COLORTERM") == "truecolor" || os.Getenv("COLORTERM") == "24bit":
		return fullInk
	}
	return ink256
}

// columns is the width of standard output; 80 where nobody says.
func (p *program) columns() int {
	if f, ok := p.out.(*os.File); ok && isTerminal(f) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			return width
		}
	}
	return 80
}

// styles tell apart experts that have the same colour.
var styles = [...]string{"", "4;", "1;", "1;4;"} // plain, underlined, bold, both

// paint puts a text on a ground: c, or where there are 256 colours the one of an index.
func (k ink) paint(c palette.Colour, index, style int, text string) string {
	more := styles[style%len(styles)]
	switch k {
	case ink256:
		return fmt.Sprintf("\x1b[%s48;5;%d;38;5;%dm%s\x1b[0m", more, index, palette.OfIndex(index).Ink().Index(), text)
	case fullInk:
		i := c.Ink()
		return fmt.Sprintf("\x1b[%s48;2;%d;%d;%d;38;2;%d;%d;%dm%s\x1b[0m", more, c.R, c.G, c.B, i.R, i.G, i.B, text)
	}
	return text
}

// shade is a text on a ground of a scale: 0 to 1, or for a diverging one -1 to 1.
func (k ink) shade(v float64, diverging bool, text string) string {
	if diverging {
		return k.paint(palette.Diverging(v), palette.DivergingIndex(v), 0, text)
	}
	return k.paint(palette.Sequential(v), palette.SequentialIndex(v), 0, text)
}

// expert is a text in the look of an expert.
func (k ink) expert(e int, text string) string {
	c, style := palette.Expert(e)
	return k.paint(c, c.Index(), style, text)
}

// dim is a text that matters less.
func (k ink) dim(text string) string {
	if k == noInk {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}

// raised is a number in superscript digits.
func raised(n int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	return strings.Map(func(r rune) rune { return digits[r-'0'] }, fmt.Sprint(n))
}
