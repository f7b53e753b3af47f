package main

import (
	"strings"

	width "github.com/jedib0t/go-pretty/v6/text"

	"troupe/lab/page"
)

// labelColumns is the most that a name takes in a line or table.
const labelColumns = 32

// label is a name that a file gives, of a domain or document, as a line shows it: without control characters, and
// cut where it is long.
func label(name string) string { return width.Snip(oneLine(name), labelColumns, "…") }

// oneLine is a text that can stand in a line of the terminal.
func oneLine(text string) string {
	return strings.NewReplacer("\n", "↵", "\t", " ").Replace(page.Visible(text))
}
