package main

import (
	"fmt"
	"strings"
)

// explainReport is what plan --explain adds to a report.
type explainReport struct {
	Notes []string     `json:"notes"`
	Parts []partReport `json:"parts"`
}

type partReport struct {
	Device int    `json:"device"`
	What   string `json:"part"` // stage N, experts, cache, batches, journal
	Where  string `json:"where"`
	Bytes  int64  `json:"bytes"`
	Why    string `json:"why"`
}

// explain adds what lives where, and why.
func (r *planReport) explain(pl *planned) {
	r.Explain = &explainReport{Notes: []string{}}
	if pl.file != nil {
		r.Explain.Notes = append(r.Explain.Notes, pl.file.Notes()...)
	}
	if m := pl.rates.measured; len(m) > 0 {
		r.Explain.Notes = append(r.Explain.Notes, "measured: "+strings.Join(m, "; "))
	}
	for _, x := range pl.Plan.Explain(pl.config, pl.quantities, pl.why) {
		r.Explain.Parts = append(r.Explain.Parts, partReport(x))
	}
}

// text writes the parts below their devices.
func (e *explainReport) text(devices []deviceReport) string {
	var b strings.Builder
	for _, note := range e.Notes {
		b.WriteString("\n" + wrapAt("", note+".", 0) + "\n")
	}
	for i, d := range devices {
		fmt.Fprintf(&b, "\nDevice %s, %s\n", d.title(i), humanBytes(d.Total))
		for _, x := range e.Parts {
			if x.Device == i {
				fmt.Fprintf(&b, "  %-9s%8s  %s: %s\n", x.What, humanBytes(x.Bytes), x.Where, x.Why)
			}
		}
	}
	return b.String()
}
