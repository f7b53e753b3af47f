package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"troupe/credentials"
)

// printCertificates writes a paragraph for each.
func (p *program) printCertificates(list []credentials.Certificate) error {
	var b strings.Builder
	for _, c := range list {
		who := "authority"
		if len(c.Hosts) > 0 {
			who = strings.Join(c.Hosts, ", ")
		}
		until := ""
		if !c.Until.IsZero() {
			until = fmt.Sprintf("; until %s (%s)", c.Until.UTC().Format(time.DateOnly), daysLeft(c))
		}
		b.WriteString(wrapAt(label(c.Name)+": ", oneLine(who)+until, 2) + "\n")
		if c.Fingerprint != "" {
			fmt.Fprintf(&b, "  %s\n", c.Fingerprint)
		}
		switch {
		case c.Problem != nil:
			b.WriteString(wrapAt("  ", "cannot be used: "+oneLine(c.Problem.Error()), 2) + "\n")
		case c.Soon():
			b.WriteString("  ends soon: make a new one with --force, while the old one is good\n")
		}
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

func daysLeft(c credentials.Certificate) string {
	switch n := int(time.Until(c.Until).Hours()/24 + 0.5); {
	case time.Now().After(c.Until):
		return "over"
	case n == 1:
		return "1 day"
	default:
		return thousands(int64(n)) + " days"
	}
}

// certificateReport is a certificate as JSON has it.
type certificateReport struct {
	Name        string    `json:"name"`
	File        string    `json:"file"`
	Authority   bool      `json:"authority"`
	Hosts       []string  `json:"hosts"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Fingerprint string    `json:"fingerprint"`
	EndsSoon    bool      `json:"ends_soon"`
	Problem     string    `json:"problem"` // "" if it can be used
}

func (p *program) printCertificatesJSON(list []credentials.Certificate) error {
	reports := make([]certificateReport, len(list))
	for i, c := range list {
		reports[i] = certificateReport{c.Name, c.File, c.Authority, append([]string{}, c.Hosts...), c.From, c.Until, c.Fingerprint, c.Soon(), ""}
		if c.Problem != nil {
			reports[i].Problem = c.Problem.Error()
		}
	}
	out := json.NewEncoder(p.out)
	out.SetIndent("", "  ")
	return out.Encode(reports)
}
