package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/model"
	"troupe/router"
	"troupe/surgery"
)

const byLayer = `

A list may differ by layer: entries are separated by semicolons, one with layers
in front of a colon is for these, one without for the others.
`

// surgeryFlags are those of every command that writes an overlay.
func surgeryFlags(own ...cli.Flag) []cli.Flag {
	return append(own,
		&cli.StringFlag{Name: "out", Usage: "`FILE` to write, - for standard output", DefaultText: "required", TakesFile: true},
		&cli.IntFlag{Name: "num-selected-experts", Usage: "experts that a token uses by default", DefaultText: "as before, at most all"},
		modelFlag(), overlayFlag(""),
	)
}

// others are the experts that are not in an ascending list.
func others(list []int, experts int) (rest []int) {
	for e := range experts {
		if _, found := slices.BinarySearch(list, e); !found {
			rest = append(rest, e)
		}
	}
	return rest
}

func (p *program) duplicateCommand() *cli.Command {
	return &cli.Command{
		Name: "duplicate", Usage: "add copies of experts",
		Description: `Copies come behind the experts of a layer, in the order of the list, with the
same column of the router and the same memory. The softmax counts an expert that
is there twice twice.` + byLayer + `
troupe experts duplicate --copy 2,5 --out more.json`,
		Flags: surgeryFlags(&cli.StringFlag{Name: "copy", Usage: "`EXPERTS` to copy, as 2,5; twice in the list for two copies", DefaultText: "required"}),
		Action: func(c *cli.Context) error {
			return p.operation(c, func(s router.Sizes) (*surgery.Overlay, error) {
				lists, err := expertLists(c.String("copy"), s, false)
				if err != nil {
					return nil, badFlag("copy", err)
				}
				return surgery.Duplicate(s, lists)
			})
		},
	}
}

func (p *program) swapCommand() *cli.Command {
	return &cli.Command{
		Name: "swap", Usage: "have two experts change places",
		Description: `With their columns of the router: the model computes what it did, but for the
order in which the softmax adds.` + byLayer + `
troupe experts swap --pair 0,7 --out swapped.json
troupe experts swap --pair "layers 3-5: 0,7" --out swapped.json`,
		Flags: surgeryFlags(&cli.StringFlag{Name: "pair", Usage: "two `EXPERTS`, as 0,7; layers that are not named stay as they are", DefaultText: "required"}),
		Action: func(c *cli.Context) error {
			return p.operation(c, func(s router.Sizes) (*surgery.Overlay, error) {
				lists, err := expertLists(c.String("pair"), s, true)
				if err != nil {
					return nil, badFlag("pair", err)
				}
				return surgery.Swap(s, lists)
			})
		},
	}
}

func (p *program) averageCommand() *cli.Command {
	return &cli.Command{
		Name: "average", Usage: "make one expert of several",
		Description: `Each group becomes one expert, at the place of its first: the average of the
matrices, stored as they were. Shares, if they are to differ, stand behind a *
and add up to 1.

The router's column is the average of the group's, or with --router first that
of the first expert. Neither gives the sum of the group's probabilities, as no
column does.` + byLayer + `
troupe experts average --groups 1+4,2+5 --out fewer.json
troupe experts average --groups 1*0.7+4*0.3 --router first --out fewer.json`,
		Flags: surgeryFlags(
			&cli.StringFlag{Name: "groups", Usage: "`GROUPS` of experts, as 1+4,2+5", DefaultText: "required"},
			&cli.StringFlag{Name: "router", Value: "average", Usage: "`COLUMN` of the new expert: average or first"},
		),
		Action: func(c *cli.Context) error {
			first := c.String("router") == "first"
			if !first && c.String("router") != "average" {
				return badFlag("router", fmt.Errorf("%q, want average or first", c.String("router")))
			}
			return p.operation(c, func(s router.Sizes) (*surgery.Overlay, error) {
				groups, err := expertGroups(c.String("groups"), s)
				if err != nil {
					return nil, badFlag("groups", err)
				}
				return surgery.Average(s, groups, first)
			})
		},
	}
}

func (p *program) upcycleCommand() *cli.Command {
	return &cli.Command{
		Name: "upcycle", Usage: "make a model of more experts, by copies",
		Description: `Expert j is a copy of expert j modulo their number. --noise adds random numbers
to the copies and their columns, so that training can make them different: their
standard deviation, by the root mean square of the matrix.

With c times the experts a token uses c times as many by default, and without
noise the model is then the same; with another number it uses as many as before.

troupe experts upcycle --experts 16 --out upcycled.json
troupe experts upcycle --experts 16 --noise 0.01 --seed 7 --out upcycled.json`,
		Flags: surgeryFlags(
			&cli.IntFlag{Name: "num-experts", Aliases: []string{"experts"}, Usage: "experts of the new model", DefaultText: "required"},
			&cli.Float64Flag{Name: "noise", Usage: "on the copies, 0.01 for one per cent", DefaultText: "0"},
			&cli.Uint64Flag{Name: "seed", Value: 42, Usage: "of the noise"},
		),
		Action: func(c *cli.Context) error {
			return p.operation(c, func(s router.Sizes) (*surgery.Overlay, error) {
				if !c.IsSet("num-experts") {
					return nil, badFlag("num-experts", errors.New("none: say how many experts the new model has"))
				}
				return surgery.Upcycle(s, c.Int("num-experts"), c.Float64("noise"), c.Uint64("seed"))
			})
		},
	}
}

// operation makes an overlay for the model of --model, or for that model with --overlay, writes it, and says what
// it does.
func (p *program) operation(c *cli.Context, plan func(router.Sizes) (*surgery.Overlay, error)) error {
	out := c.String("out")
	if out == "" {
		return usagef("--out: no file: say where to write, - for standard output")
	}
	dir, err := modelDir(c.String("model"))
	if err != nil {
		return err
	}
	config, r, err := dir.rearrange(c.Context, c.String("overlay"))
	if err != nil {
		return err
	}
	o, err := compose(c, config, r, plan)
	if err != nil {
		return err
	}
	if err := p.writeOverlay(out, o); err != nil {
		return err
	}
	return p.tellOverlay(c, out, r, o)
}

// compose plans an overlay for a model as it is with r, and puts it on r's.
func compose(c *cli.Context, config model.Config, r rearranged, plan func(router.Sizes) (*surgery.Overlay, error)) (*surgery.Overlay, error) {
	o, err := plan(surgery.SizesOf(config))
	if err != nil {
		return nil, asUsage(err)
	}
	if c.IsSet("num-selected-experts") {
		if o.Selected, err = intWithin(c, "num-selected-experts", o.NumExperts()); err != nil {
			return nil, err
		}
	}
	o.Note = noteOf(c)
	if r.overlay != nil {
		if o, err = r.overlay.Then(o); err != nil {
			return nil, asUsage(err)
		}
	}
	_, err = o.Config(r.files)
	return o, err
}

// asUsage takes an error as one of usage.
func asUsage(err error) error {
	if u, ok := err.(*usageError); ok {
		return u
	}
	return &usageError{err: err}
}

// noteOf is the command as it was typed, but for files and what says how a model is computed.
func noteOf(c *cli.Context) string {
	words := []string{c.Command.Name}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		in, ok := f.(cli.CategorizableFlag)
		if c.IsSet(name) && !(ok && in.GetCategory() != "") && !slices.Contains([]string{"out", "model", "overlay", "text", "held-out", "json"}, name) {
			words = append(words, fmt.Sprintf("--%s %v", name, c.Value(name)))
		}
	}
	return strings.Join(words, " ")
}

func (p *program) writeOverlay(out string, o *surgery.Overlay) error {
	raw, err := o.Format()
	if err != nil {
		return err
	}
	if out == "-" {
		_, err := p.out.Write(raw)
		return err
	}
	f, err := createFile(out)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return f.finish(err)
}
