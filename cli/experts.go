package main

import (
	"github.com/urfave/cli/v2"

	"troupe/router"
)

func (p *program) expertsCommand() *cli.Command {
	return &cli.Command{
		Name: "experts", Usage: "experiment with a model's experts",
		Description: `sweep measures quality, speed and bytes by number of experts, and draws them.

trace shows which experts the words of a text went to, and writes their routing
into a file; heatmap counts such files by layer and expert, diff compares two.

prune, duplicate, swap, average and upcycle write an overlay: a small file that
says of which experts of a model another one is made. run, eval, logits, bench,
inspect and plan take it as --overlay; no checkpoint is written. Each of the
commands takes one as well, to go on from, and troupe convert --overlay writes a
real checkpoint.

calibrate and tune write a policy for --experts: when tokens may skip an expert,
and how many each layer should use.

Experts and layers count from 0. All layers have as many experts.

--experts SPEC says how the tokens of a request get their experts; SPEC is

` + router.Grammar + `

In a file (--experts @FILE) parts may stand on lines of their own, and comments
behind #. As for example:

troupe run --experts 1 "Tale: The Lighthouse Keeper"
troupe run --experts "0-2:1;3-5:top-p:0.6+max:4" "Tale: The Lighthouse Keeper"
troupe eval --experts 2+mask:3,5

troupe experts sweep --quick
troupe experts trace "Recipe: Two eggs and 30 g of sugar"
troupe experts prune --drop 5 --out pruned.json
troupe eval --text heldout.jsonl --overlay pruned.json
troupe experts average --groups 0+1,2+3 --overlay pruned.json --out both.json
troupe convert --overlay both.json --to packed --out both`,
		Subcommands: []*cli.Command{
			p.sweepCommand(), p.traceCommand(), p.heatmapCommand(), p.diffCommand(),
			p.pruneCommand(), p.duplicateCommand(), p.swapCommand(), p.averageCommand(), p.upcycleCommand(),
			p.calibrateCommand(), p.tuneCommand(),
		},
	}
}
