package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/bench"
	"troupe/kernels"
)

// libraryBench is all ops of libraries beside those of others; its names are a promise.
type libraryBench struct {
	Libraries []string          `json:"libraries"`
	Against   []string          `json:"against"`
	Ops       []*bench.OpReport `json:"ops"`
	Without   []notOffered      `json:"not_offered"`
}

// notOffered is an op that a library has not, at this shape and under this arithmetic.
type notOffered struct {
	Op      string `json:"op"`
	Library string `json:"library"`
}

// benchLibrary times all ops of a library beside those of others, in turns.
func (p *program) benchLibrary(c *cli.Context) error {
	name := c.Args().First()
	judged, err := p.findLibraries(c, name)
	if _, missing := os.Stat(name); missing != nil && !isBuiltIn(name) && errors.As(err, new(*usageError)) {
		return usagef("%q: neither an op (%s) nor a library (troupe kernels list) nor a plugin's file", name, opNames())
	}
	if err != nil {
		return err
	}
	r := libraryBench{Without: []notOffered{}}
	for _, v := range judged {
		r.Libraries = append(r.Libraries, v.Name)
	}
	ops, err := readOps(c)
	if err != nil {
		return err
	}
	if ops == nil {
		if ops, err = opsOf(judged); err != nil {
			return err
		}
	}
	for op := range kernels.NumOps {
		if !slices.Contains(ops, op) {
			continue
		}
		o, err := p.readOpBench(c, op)
		if err != nil {
			return err
		}
		if !c.IsSet("kernels") {
			if o.Variants, err = readBest(r.Libraries); err != nil {
				return err
			}
		}
		if r.Against == nil {
			for _, v := range o.Variants {
				r.Against = append(r.Against, v.Name)
			}
		}
		o.Variants = append(judged[:len(judged):len(judged)], o.Variants...)
		done, err := p.benchOp(c, o, &r)
		if err != nil || !done {
			if len(r.Ops) > 0 {
				err = errors.Join(p.printLibraryBench(r, c.Bool("json")), err)
			}
			return err
		}
	}
	return p.printLibraryBench(r, c.Bool("json"))
}

// opsOf are the ops that libraries list.
func opsOf(variants []kernels.Variant) (ops []kernels.Op, err error) {
	for _, v := range variants {
		lib, err := v.Open(kernels.SameThreads(1))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Name, err)
		}
		ops = append(ops, lib.Info().Ops...)
		if err := lib.Close(); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	return ops, nil
}

// readBest is the best library that is built in, if it is not among those that are timed.
func readBest(judged []string) ([]kernels.Variant, error) {
	best, err := kernels.Find("")
	if err != nil || len(judged) == 1 && judged[0] == best.Name {
		return nil, err
	}
	return []kernels.Variant{best}, nil
}

// benchOp times an op with those that have it, and notes those that have not. done is false when ctx has ended.
func (p *program) benchOp(c *cli.Context, o bench.OpOptions, r *libraryBench) (done bool, err error) {
	report, end := p.progress("measuring "+o.Op.String(), inRounds)
	defer end()
	o.Progress = func(done, all int) { report(int64(done), int64(all)) }
	var have []kernels.Variant
	for _, v := range o.Variants {
		ok, err := o.Offers(v)
		switch {
		case err != nil:
			return false, err
		case ok:
			have = append(have, v)
		default:
			r.Without = append(r.Without, notOffered{o.Op.String(), v.Name})
		}
	}
	if o.Variants = have; len(have) == 0 {
		return true, nil
	}
	one, err := bench.RunOp(c.Context, o)
	if one != nil && len(one.Results) > 0 {
		r.Ops = append(r.Ops, one)
	}
	return err == nil, err
}

func (p *program) printLibraryBench(r libraryBench, asJSON bool) error {
	if asJSON {
		return writeJSON(p.out, r)
	}
	var rows [][]string
	var noise float64
	for _, op := range r.Ops {
		noise = max(noise, op.Others)
		base := map[int]float64{} // by rows: µs of the last, which is what the others are compared with
		for _, t := range op.Results {
			base[t.Rows] = t.Micros.Median
		}
		for _, t := range op.Results {
			rows = append(rows, []string{op.Op, fmt.Sprint(t.Rows), t.Kernels, digits(t.Micros.Median), digits(t.Micros.Min), digits(t.Micros.Max),
				fmt.Sprintf("%.2f", base[t.Rows]/max(t.Micros.Median, 1e-9)), digits(t.Bytes / 1e9)})
		}
	}
	if noise > bench.NoisyShare {
		p.notice("noisy: other programs used up to %s of the processors", percent(noise))
	}
	var b strings.Builder
	b.WriteString(p.tableOf([]string{"Op", "Rows", "Library", "µs", "Min", "Max", "Speed ×", "GB/s"}, rows, 1, 3, 4, 5, 6, 7))
	for _, n := range r.Without {
		fmt.Fprintf(&b, "%s: not offered by %s at this shape\n", n.Op, n.Library)
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}
