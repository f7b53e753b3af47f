package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"troupe/internal/load"
)

// Values of --repack.
const (
	repackAuto = "auto"
	repackOn   = "on"
	repackOff  = "off"
)

func repackFlag() cli.Flag {
	return &cli.StringFlag{Name: "repack", Value: repackAuto, Category: engineCategory,
		Usage: "`WHEN` int8 matrices of pickles are copied in memory into the order of the kernels: auto (if these prefer it and memory allows), on or off"}
}

func readRepack(c *cli.Context) (string, error) {
	mode := c.String("repack")
	if mode != repackAuto && mode != repackOn && mode != repackOff {
		return "", badFlag("repack", fmt.Errorf("%q, want auto, on or off", mode))
	}
	return mode, nil
}

// repacks tells whether int8 matrices that are not in panels are to be repacked.
func (l *launch) repacks() bool {
	return l.repack == repackOn || l.repack == repackAuto && load.PrefersPanels(l.binding, l.config.Model.NumLayers)
}

// repackThreads is how many matrices are repacked at a time: one a thread that computes.
func (l *launch) repackThreads() (n int) {
	for _, d := range l.placement.Devices {
		n += max(d.Threads, d.Prefill)
	}
	return max(n, 1)
}

// repack copies a model's matrices into panels. Where memory does not allow it, done is false, with a
// warning, unless it was demanded.
func (p *program) repack(ctx context.Context, m *load.Model, l launch) (r load.Repacked, done bool, err error) {
	report, end := p.progress("repacking", inBytes)
	r, err = m.Repack(ctx, load.WorkOptions{Workers: l.repackThreads(), Progress: report, Memory: l.memory})
	end()
	if errors.Is(err, load.ErrMemory) && l.repack == repackAuto {
		p.logs.part("cli").Warn("matrices stay in the order of the pickles, which is slower to compute with", "reason", err)
		return r, false, nil
	}
	return r, err == nil, err
}
