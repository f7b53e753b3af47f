package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/urfave/cli/v2"
)

// steerFlags are the flags of run by which kernels are swapped while it runs.
func steerFlags() []cli.Flag {
	control := controlFlag("at which troupe ctl may steer the engine").(*cli.StringFlag)
	control.Category, control.DefaultText = kernelsCategory, "none"
	return []cli.Flag{
		control,
		&cli.StringSliceFlag{Name: "swap", Category: kernelsCategory,
			Usage: "`SWAP` kernels when so many tokens have been made: \"token=20 expert=plugin:mine shadow=4\""},
	}
}

// steer begins what may change the kernels of a session while it runs: --control and --swap. end ends it.
func (p *program) steer(ctx context.Context, l launch, s *session) (swaps *swapper, end func() error, err error) {
	for _, swap := range l.kernels.swaps {
		if err := s.watch.engine.warm(ctx, swap.binding); err != nil {
			return nil, nil, fmt.Errorf("--swap: %s: %w", swap.text, err)
		}
	}
	server, err := p.serveControl(l.kernels.control, s.watch.steering)
	if err != nil {
		return nil, nil, err
	}
	if len(l.kernels.swaps) == 0 {
		return nil, server, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	swaps = &swapper{program: p, steering: s.watch.steering, list: l.kernels.swaps}
	var running sync.WaitGroup
	running.Go(func() { swaps.run(ctx) })
	return swaps, func() error {
		cancel(errEnding)
		running.Wait()
		return server()
	}, nil
}
