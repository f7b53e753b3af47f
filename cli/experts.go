package main

import "github.com/urfave/cli/v2"

func (p *program) expertsCommand() *cli.Command {
	return &cli.Command{
		Name: "experts", Usage: "experiment with a model's experts",
		Description: `trace shows which experts the words of a text went to, and writes their routing
into a file; heatmap counts such files by layer and expert, diff compares two.

prune, duplicate, swap, average and upcycle write an overlay: a small file that
says of which experts of a model another one is made. run, eval, logits, bench,
inspect and plan take it as --overlay; no checkpoint is written. Each of the
commands takes one as well, to go on from, and troupe convert --overlay writes a
real checkpoint.

calibrate writes a policy for --experts: when tokens may skip an expert.

Experts and layers count from 0. All layers have as many experts.

troupe experts trace "Recipe: Two eggs and 30 g of sugar"
troupe experts prune --drop 5 --out pruned.json
troupe eval --text heldout.jsonl --overlay pruned.json
troupe experts average --groups 0+1,2+3 --overlay pruned.json --out both.json
troupe convert --overlay both.json --to packed --out both`,
		Subcommands: []*cli.Command{
			p.traceCommand(), p.heatmapCommand(), p.diffCommand(),
			p.pruneCommand(), p.duplicateCommand(), p.swapCommand(), p.averageCommand(), p.upcycleCommand(),
			p.calibrateCommand(),
		},
	}
}
