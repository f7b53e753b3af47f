package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"troupe/internal/load"
	"troupe/model"
	"troupe/surgery"
)

// overlayFlag names an overlay, alike in all commands that open a model.
func overlayFlag(category string) cli.Flag {
	return &cli.StringFlag{Name: "overlay", TakesFile: true, DefaultText: "none", Category: category,
		Usage: "`FILE` that rearranges the model's experts, as troupe experts prune and its like write it"}
}

// readOverlay reads the file of an overlay; "" is none, nil.
func readOverlay(ctx context.Context, name string) (*surgery.Overlay, error) {
	if name == "" {
		return nil, nil
	}
	raw, err := readAtMost(ctx, name, surgery.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("--overlay: %w", err)
	}
	o, err := surgery.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("--overlay: %s: %w", name, err)
	}
	return o, nil
}

// rearranged is a model as --overlay makes it of a directory's.
type rearranged struct {
	files   model.Config     // of the directory
	overlay *surgery.Overlay // nil: none
}

// rearrange reads the directory's configuration and the overlay, if there is one: c is what both make.
func (d directory) rearrange(ctx context.Context, overlay string) (c model.Config, r rearranged, err error) {
	if r.files, err = d.config(); err != nil {
		return c, r, err
	}
	if r.overlay, err = readOverlay(ctx, overlay); err != nil || r.overlay == nil {
		return r.files, r, err
	}
	if c, err = r.overlay.Config(r.files); err != nil {
		return c, r, fmt.Errorf("--overlay: %s: %s: %w", overlay, d.name, err)
	}
	return c, r, nil
}

// operate applies the overlay to a model that has just been opened, several matrices at a time, and says so.
func (p *program) operate(ctx context.Context, m *load.Model, r rearranged, opt load.WorkOptions) error {
	if r.overlay == nil {
		return nil
	}
	report, end := p.progress("rearranging", inBytes)
	opt.Progress = report
	bytes, err := m.Overlay(ctx, r.overlay, opt)
	end()
	if err != nil {
		return errors.Join(err, m.Close())
	}
	p.notice("overlay: %s; %s computed", describeOverlay(r.files, r.overlay), humanBytes(bytes))
	return nil
}

// describeOverlay says how an overlay changes a model.
func describeOverlay(c model.Config, o *surgery.Overlay) string {
	after, err := o.Config(c)
	if err != nil { // it has been looked at before
		return o.Note
	}
	text := fmt.Sprintf("%d experts of which %d are chosen, instead of %d and %d", after.Model.NumExperts, after.Model.NumSelectedExperts, c.Model.NumExperts, c.Model.NumSelectedExperts)
	if o.Note != "" {
		text += fmt.Sprintf(" (%s)", o.Note)
	}
	return text
}
