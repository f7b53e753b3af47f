package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/lab/saliency"
	"troupe/router"
	"troupe/surgery"
)

func (p *program) pruneCommand() *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "leave experts out",
		Description: `The router's softmax runs over the experts that are kept. They are named by
--keep, or the others by --drop, or --to N has them found from a text.` + byLayer + `
--to N keeps in every layer the N experts that --by finds:

naee            exact search: the subset that changes the layer's output least
                (arXiv 2402.14800), of at most 20,000 subsets
naee-direction  the same for outputs brought to length 1, as the norm behind
                the experts sees them
naee-greedy     naee, one expert after the other, a pass over the text for each
reap            by gate times length of the output, mean over tokens that chose
                it (arXiv 2510.13999)
ean             by the sum of lengths of the output (expert activation norm)
frequency       by how many tokens chose the expert
router          by the sum of the router's probabilities

The perplexity before and after is that of held-out documents, every other one
of --text if no file is named. Without --out the overlay is not written.

troupe experts prune --drop 5 --out pruned.json
troupe experts prune --keep "0,2,3,7; layers 0-2: 1,2,3,4" --out pruned.json
troupe experts prune --to 6 --by naee --text heldout.jsonl --out pruned.json`,
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "keep", Usage: "`EXPERTS` that stay, as 0,2,3"},
			&cli.StringFlag{Name: "drop", Usage: "`EXPERTS` that go, as 5"},
			&cli.IntFlag{Name: "to", Usage: "`NUMBER` of experts that each layer keeps"},
			&cli.StringFlag{Name: "by", Usage: "`METHOD` that finds them", DefaultText: string(saliency.NAEE)},
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write, - for standard output", DefaultText: "required but for --to", TakesFile: true},
			&cli.IntFlag{Name: "num-selected-experts", Usage: "experts that a token uses by default", DefaultText: "as before, at most all"},
			jsonFlag("with --to, print one JSON object instead of tables"),
		}, sampleFlags()...), engineFlags()...),
		Action: p.prune,
	}
}

func (p *program) prune(c *cli.Context) error {
	keep, drop := c.String("keep"), c.String("drop")
	named := 0
	for _, name := range []string{"keep", "drop", "to"} {
		if c.IsSet(name) {
			named++
		}
	}
	switch {
	case named != 1:
		return usagef("want --keep or --drop with a list of experts, or --to with their number, one of them")
	case c.IsSet("to"):
		return p.pruneTo(c)
	}
	for _, name := range []string{"by", "text", "held-out", "limit-tokens", "json"} {
		if c.IsSet(name) {
			return usagef("--%s goes with --to: --keep and --drop name the experts themselves", name)
		}
	}
	return p.operation(c, func(s router.Sizes) (*surgery.Overlay, error) {
		flag, list := "keep", keep
		if drop != "" {
			flag, list = "drop", drop
		}
		lists, err := expertLists(list, s, false)
		if err != nil {
			return nil, badFlag(flag, err)
		}
		for l := range lists {
			slices.Sort(lists[l])
			if drop != "" {
				lists[l] = others(lists[l], s.Experts)
			}
		}
		return surgery.Prune(s, lists)
	})
}
