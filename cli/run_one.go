package main

import (
	"context"
	"encoding/json"
	"strconv"
)

// runOne streams the continuation of one prompt to standard output.
func (p *program) runOne(ctx context.Context, g *generator, j job, asJSON, ids bool) error {
	show := p.showText
	switch {
	case asJSON:
		show = p.showEvent
	case ids:
		show = p.showID
	}
	r, err := g.run(ctx, j, show)
	switch {
	case err != nil:
		return err
	case asJSON:
		r.Routing = nil // the events have it
		if err := r.write(p.out); err != nil {
			return err
		}
	case ids && len(r.Tokens) > 0:
		if err := p.print("\n"); err != nil {
			return err
		}
	case !ids:
		if err := p.print(p.lineEnd()); err != nil {
			return err
		}
	}
	if r.err == nil {
		p.summary(j, r)
	}
	p.tellDoubts("", r)
	return r.outcome()
}

func (p *program) showText(e piece) error { return p.print(e.Text) }

func (p *program) showID(e piece) error {
	if e.Index < 0 {
		return nil
	}
	text := strconv.Itoa(int(e.Token))
	if e.Index > 0 {
		text = "," + text
	}
	return p.print(text)
}

func (p *program) showEvent(e piece) error {
	if e.Index < 0 { // text that was held back, and no token
		return writeJSON(p.out, struct {
			ID   json.RawMessage `json:"id"`
			Text string          `json:"text"`
		}{e.ID, e.Text})
	}
	return writeJSON(p.out, e)
}
