package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/actors"
)

// kernelFlags say how kernels are watched while they run.
func kernelFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "verify-fraction", DefaultText: "1/64", Category: kernelsCategory,
			Usage: "`F` of the batches after a swap go on being computed by the old library as well, and compared"},
		&cli.StringFlag{Name: "kernel-events", TakesFile: true, DefaultText: "none", Category: kernelsCategory,
			Usage: "`FILE` for all events of swaps and faults, JSON, one a line; - for standard error"},
	}
}

// kernelOptions are what kernelFlags and the flags of run say.
type kernelOptions struct {
	verify  float64 // 0: as much as is usual; -1: nothing
	events  string  // file, - for standard error, "" for none
	control string  // path of its socket, "" for none
	swaps   []swapSpec
}

// put adds them to those of an engine.
func (o kernelOptions) put(to *actors.Options, w *kernelWatch) {
	to.VerifyFraction = o.verify
	to.Events = func(e actors.KernelEvent) { w.publish(eventOf(e)) }
}

func readKernelOptions(c *cli.Context) (o kernelOptions, err error) {
	o.events = c.String("kernel-events")
	if text := c.String("verify-fraction"); text != "" {
		if o.verify, err = parseFraction(text); err != nil {
			return o, badFlag("verify-fraction", err)
		}
		if o.verify == 0 {
			o.verify = -1
		}
	}
	return o, nil
}

// parseFraction reads a part of one, as a number or as a fraction.
func parseFraction(text string) (float64, error) {
	over, under, isFraction := strings.Cut(text, "/")
	if !isFraction {
		under = "1"
	}
	a, err := strconv.ParseFloat(over, 64)
	b, err2 := strconv.ParseFloat(under, 64)
	f := a / b
	if err != nil || err2 != nil || !(f >= 0 && f <= 1) { // NaN is neither
		return 0, fmt.Errorf("%q, want 0 (nothing) to 1 (every batch), as 0.02 or 1/50", text)
	}
	return f, nil
}
