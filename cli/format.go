package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// humanBytes is a size as people say it, in powers of ten as disks are sold.
func humanBytes(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// thousands groups the digits of a number that must be exact.
func thousands(n int64) string { return humanize.Comma(n) }

// textsOf is a number of texts.
func textsOf(n int) string {
	if n == 1 {
		return "1 text"
	}
	return fmt.Sprintf("%d texts", n)
}

// seconds is a duration with the digits that matter.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3g s", d.Seconds()) }

// perSecond is a rate; a duration of nothing gives no infinity.
func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / max(d.Seconds(), 1e-9)) }

// tableOf lays rows out in columns; those whose number is in right, from 0, are set to the right.
func (p *program) tableOf(header []string, rows [][]string, right ...int) string {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	if p.colours() {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	toRow := func(cells []string) table.Row {
		row := make(table.Row, len(cells))
		for i, c := range cells {
			row[i] = c
		}
		return row
	}
	t.AppendHeader(toRow(header))
	for _, r := range rows {
		t.AppendRow(toRow(r))
	}
	var columns []table.ColumnConfig
	for _, i := range right {
		columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	var b strings.Builder
	for line := range strings.SplitSeq(t.Render(), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
