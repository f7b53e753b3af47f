package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/placement"
)

// planWorkersFlags name workers that a plan asks what they have.
func planWorkersFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "workers", Usage: "`LIST` of workers to ask for their devices, as a:7000,b:7000: memory, threads, speed and the time of a message there", DefaultText: "none", Category: workersCategory},
		&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` where they answer", DefaultText: "the address that faces them, a free port", Category: workersCategory},
		advertiseFlag(),
	}, linkFlags(workersCategory)...)
}

// surveyForPlan asks the workers of a plan what they have, and leaves them; nil: none are named.
func (p *program) surveyForPlan(c *cli.Context, file *placement.File) (w *company, err error) {
	named, err := addresses(c, "workers")
	if err != nil || named == nil {
		return nil, err
	}
	net, err := p.openNet(c, facing(c, named[0]), false, "workers", slices.Clone(named)...)
	if err != nil {
		return nil, err
	}
	defer closeNet(net)
	w = &company{}
	w.devices, w.hosts, err = survey(c.Context, net, named, true)
	return w, err
}
