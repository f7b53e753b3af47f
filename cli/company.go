package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/internal/control"
)

// companyReport is who computes what, and where; its names are a promise.
type companyReport struct {
	Missing     string         `json:"missing,omitempty"` // why nothing can be computed
	Moving      []string       `json:"moving"`
	Workers     []workerReport `json:"workers"`
	Devices     []placeReport  `json:"devices"`
	Stages      []seatReport   `json:"stages"`
	ExpertsAway []string       `json:"experts_away"` // from their stage
	CreditsHome int            `json:"credits_home"`
	CreditsAway int            `json:"credits_away"`
	Journal     int64          `json:"journal_bytes"`
	Epoch       uint64         `json:"epoch"`
	Generation  uint64         `json:"generation"`
}

type workerReport struct {
	Address string  `json:"address"`
	Up      bool    `json:"up"`
	Session string  `json:"session,omitempty"`
	Lost    string  `json:"lost,omitempty"` // why
	Heard   float64 `json:"heard_ms_ago"`
	Trip    float64 `json:"round_trip_ms"`
}

type placeReport struct {
	Device  string  `json:"device"`
	Name    string  `json:"name"`
	Threads int     `json:"threads"`
	Memory  int64   `json:"memory_bytes"` // 0: not stated
	Stages  int     `json:"stages"`
	Experts int     `json:"experts"`
	Busy    float64 `json:"busy_seconds"`
}

type seatReport struct {
	First  int     `json:"first_layer"`
	Last   int     `json:"last_layer"`
	Device string  `json:"device"`
	Inside int     `json:"batches_inside"`
	Oldest float64 `json:"oldest_ms"`
	Busy   float64 `json:"busy_seconds"`
}

func companyOf(c actors.Company) companyReport {
	r := companyReport{Moving: names(c.Moving), ExpertsAway: names(c.Away), Workers: []workerReport{}, CreditsHome: c.CreditsHome, CreditsAway: c.CreditsAway,
		Journal: c.Journal, Epoch: c.Epoch, Generation: c.Generation}
	if c.Missing != nil {
		r.Missing = c.Missing.Error()
	}
	for _, h := range c.Hosts {
		w := workerReport{Address: h.Address, Up: h.Session != 0, Heard: millis(h.Heard), Trip: millis(h.Trip)}
		if w.Up {
			w.Session = fmt.Sprintf("%x", h.Session)
		} else if h.Lost != nil {
			w.Lost = strings.TrimPrefix(h.Lost.Error(), "worker "+h.Address+": lost: ")
		}
		r.Workers = append(r.Workers, w)
	}
	for _, d := range c.Devices {
		r.Devices = append(r.Devices, placeReport{d.Target.String(), d.Name, d.Threads, d.Memory, d.Stages, d.Experts, d.Busy.Seconds()})
	}
	for _, s := range c.Stages {
		r.Stages = append(r.Stages, seatReport{s.Span.Lo, s.Span.Hi - 1, s.Device.String(), s.Inside, millis(s.Oldest), s.Busy.Seconds()})
	}
	return r
}

func names(parts []actors.Part) []string {
	list := []string{}
	for _, p := range parts {
		list = append(list, p.String())
	}
	return list
}

// print writes it for people.
func (r companyReport) print(to io.Writer) error {
	w := &strings.Builder{} // a terminal takes whole lines
	if r.Missing != "" {
		fmt.Fprintf(w, "  waiting: %s\n", r.Missing)
	}
	for _, h := range r.Workers {
		if h.Up {
			fmt.Fprintf(w, "  worker %s: up, heard of %.3g ms ago, round trip %.3g ms, session %s\n", h.Address, h.Heard, h.Trip, h.Session)
		} else {
			fmt.Fprintf(w, "  worker %s: lost: %s\n", h.Address, h.Lost)
		}
	}
	for _, d := range r.Devices {
		fmt.Fprintf(w, "  device %s: %s, %s, %s, busy %.3g s\n", d.Device, d.Name, counted(d.Stages, "stage", "stages"), counted(d.Experts, "expert", "experts"), d.Busy)
	}
	for i, s := range r.Stages {
		fmt.Fprintf(w, "  stage %d: layers %d-%d on %s, %s inside", i, s.First, s.Last, s.Device, counted(s.Inside, "batch", "batches"))
		if s.Inside > 0 {
			fmt.Fprintf(w, " (for %.3g ms)", s.Oldest)
		}
		fmt.Fprintf(w, ", busy %.3g s\n", s.Busy)
	}
	if len(r.ExpertsAway) > 0 {
		fmt.Fprintf(w, "  experts away from their stage: %s\n", strings.Join(r.ExpertsAway, ", "))
	}
	if len(r.Moving) > 0 {
		fmt.Fprintf(w, "  on the move: %s\n", strings.Join(r.Moving, ", "))
	}
	fmt.Fprintf(w, "  credits: %d home, %d away; journal %.3g MB; epoch %d, generation %d\n", r.CreditsHome, r.CreditsAway, float64(r.Journal)/1e6, r.Epoch, r.Generation)
	_, err := io.WriteString(to, w.String())
	return err
}

// moveReport is what a move has come to; its names are a promise.
type moveReport struct {
	Parts    []string `json:"parts"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	Opening  float64  `json:"opening_ms"` // requests ran meanwhile
	Pause    float64  `json:"pause_ms"`
	Replayed int      `json:"rows_computed_again"`
	Resent   int      `json:"batches_sent_again"`
}

func (r moveReport) print(w io.Writer) error {
	what := r.Parts[0]
	if n := len(r.Parts) - 1; n > 0 {
		what += " with " + plural(n, "expert")
	}
	_, err := fmt.Fprintf(w, "  %s moved from %s to %s: opened in %.3g ms, requests paused for %.3g ms, %s computed again, %s sent again\n",
		what, r.From, r.To, r.Opening, r.Pause, plural(r.Replayed, "row"), counted(r.Resent, "batch", "batches"))
	return err
}

// move puts a part on another device.
func (s *steering) move(ctx context.Context, part, to string) (r moveReport, err error) {
	p, err := actors.ParsePart(part)
	if err != nil {
		return r, err
	}
	t, err := actors.ParseTarget(to)
	if err != nil {
		return r, err
	}
	m, err := s.engine.move(ctx, p, t)
	if err != nil {
		return r, err
	}
	return moveReport{names(m.Parts), m.From.String(), m.To.String(), millis(m.Opening), millis(m.Pause), m.Replayed, m.Resent}, nil
}

// splitMove reads the words "stage=2 to=b:7000".
func splitMove(words []string) (part, to string, err error) {
	if len(words) == 2 {
		if target, ok := strings.CutPrefix(words[1], "to="); ok && target != "" {
			return words[0], target, nil
		}
	}
	return "", "", fmt.Errorf("%q, want a part and a device, as in stage=2 to=b:7000 or expert=3.5 to=local/0", strings.Join(words, " "))
}

func (p *program) ctlCompany(c *cli.Context) error {
	var r companyReport
	err := p.ask(c, control.Request{Do: "company"}, &r)
	if err != nil || c.Bool("json") {
		return err
	}
	return r.print(p.out)
}

func (p *program) ctlMove(c *cli.Context) error {
	part, to, err := splitMove(c.Args().Slice())
	if err == nil {
		_, err = actors.ParsePart(part)
	}
	if err == nil {
		_, err = actors.ParseTarget(to)
	}
	if err != nil {
		return usagef("move: %v", err)
	}
	var r moveReport
	err = p.ask(c, control.Request{Do: "move", Part: part, To: to}, &r)
	if err != nil || c.Bool("json") {
		return err
	}
	return r.print(p.out)
}
