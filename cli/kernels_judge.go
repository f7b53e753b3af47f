package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

func (p *program) kernelsTestCommand() *cli.Command {
	return &cli.Command{
		Name: "test", Usage: "judge a library by the conformance suite", ArgsUsage: "LIBRARY|FILE",
		Description: `Compares what a library computes with the reference implementation, bit for bit
or within its bounds, as it promises. LIBRARY is a name that --kernels takes, as
cpu/generic or plugin:mine; FILE is a plugin.

Each case is one op, or a run of ops, of one shape. It is run with several
layouts of its operands, flush with forbidden memory before and behind them, row
by row, and twice. A library that says that it lacks an arithmetic or a shape is
right: the case counts as not offered. A plugin that breaks is started again;
when that has happened three times, the rest of an op's cases is left out.

The exit code is 1 when the promise was not kept.

troupe kernels test cpu/generic
troupe kernels test bin/plugins/mine --op expert,linear --arith int8 --json`,
		Flags: append([]cli.Flag{
			opFlag(),
			&cli.StringFlag{Name: "arith", Usage: "`LIST` of arithmetics: exact, int8, reference", DefaultText: "all"},
			&cli.StringFlag{Name: "threads", Usage: "`LIST` of numbers of threads that it is judged with", Value: "1,2,3"},
			jsonFlag("print one JSON object instead of a table"),
		}, pluginFlags("")...),
		Action: p.kernelsTest,
	}
}

func (p *program) kernelsTest(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("%d arguments, want one LIBRARY or FILE", c.NArg())
	}
	s, err := readSuite(c)
	if err != nil {
		return err
	}
	if !c.IsSet("log-level") {
		p.logs.hush("plugins") // what breaks is in the table
	}
	variants, err := p.findLibraries(c, c.Args().First())
	if err != nil {
		return err
	}
	var errs []error
	for i, v := range variants {
		if i > 0 && !c.Bool("json") {
			fmt.Fprintln(p.out)
		}
		errs = append(errs, p.judge(c, s, v))
		if c.Context.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// judge runs the suite on a library and prints what it finds.
func (p *program) judge(c *cli.Context, s kerneltest.Suite, v kernels.Variant) error {
	report, end := p.progress("judging "+v.Name, inCases)
	s.Open, s.Progress = v.Open, func(done, all int) { report(int64(done), int64(all)) }
	r, err := s.Judge(c.Context)
	end()
	if r == nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	j := newJudgement(v.Name, r)
	if c.Bool("json") {
		err = errors.Join(writeJSON(p.out, j), err)
	} else {
		err = errors.Join(p.printJudgement(j), err)
	}
	switch {
	case err != nil:
	case !j.Kept:
		err = fmt.Errorf("%s: the promise is not kept", v.Name)
	case !slices.ContainsFunc(j.Ops, func(o opJudgement) bool { return o.Listed }):
		err = fmt.Errorf("%s: nothing was judged: what --op names is not among its ops", v.Name)
	}
	return err
}

func opFlag() cli.Flag {
	return &cli.StringFlag{Name: "op", Usage: "`LIST` of ops of the library: " + opNames(), DefaultText: "all"}
}

// readOps reads --op; nil is all.
func readOps(c *cli.Context) (ops []kernels.Op, err error) {
	if !c.IsSet("op") {
		return nil, nil
	}
	for name := range strings.SplitSeq(c.String("op"), ",") {
		op, err := parseOp(strings.TrimSpace(name))
		if err != nil {
			return nil, badFlag("op", err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func readSuite(c *cli.Context) (s kerneltest.Suite, err error) {
	if s.Ops, err = readOps(c); err != nil {
		return s, err
	}
	if c.IsSet("arith") {
		for name := range strings.SplitSeq(c.String("arith"), ",") {
			a, err := kernels.ParseArith(strings.TrimSpace(name))
			if err != nil {
				return s, badFlag("arith", err)
			}
			s.Ariths = append(s.Ariths, a)
		}
	}
	if s.Threads, err = parseInts(c.String("threads")); err != nil {
		return s, badFlag("threads", err)
	}
	for _, n := range s.Threads {
		if n < 1 || n > maxThreads || len(s.Threads) > maxJudged {
			return s, badFlag("threads", fmt.Errorf("%v, want at most %d numbers from 1 to %d", s.Threads, maxJudged, maxThreads))
		}
	}
	return s, nil
}

// maxJudged bounds how many libraries are open at a time.
const maxJudged = 16

// judgement is what the suite has found, in words; its names are a promise.
type judgement struct {
	Library  string        `json:"library"`
	Version  string        `json:"version"`
	Promise  string        `json:"promise"` // "identical" to ref bit for bit, or "close"
	Kept     bool          `json:"kept"`
	Error    string        `json:"error,omitempty"` // of what the library says of itself
	Restarts int           `json:"restarts"`        // how often it broke and was opened again
	Missing  []string      `json:"missing"`         // ops that it lists and has for no case
	Ops      []opJudgement `json:"ops"`             // by op, then by arithmetic
}

// opJudgement is what the cases of an op under one arithmetic have found.
type opJudgement struct {
	Op         string   `json:"op"`
	Arith      string   `json:"arith"`
	Listed     bool     `json:"listed"` // among the library's ops
	Cases      int      `json:"cases"`
	Offered    int      `json:"offered"`
	Failed     int      `json:"failed"`
	LeftOut    int      `json:"left_out"`         // after the library broke too often
	Runs       int      `json:"runs"`             // that were right
	Difference *float64 `json:"worst_difference"` // relative to the largest magnitude of the output; null: beyond numbers
	Bound      float64  `json:"bound"`            // of the difference; 0: identical bits
	Error      string   `json:"error,omitempty"`  // the first
}

func newJudgement(name string, r *kerneltest.Report) judgement {
	j := judgement{Library: name, Version: r.Info.Version, Promise: promiseName(r.Info.Promise), Kept: r.Kept(), Restarts: r.Restarts, Missing: []string{}}
	if r.Err != nil {
		j.Error = r.Err.Error()
	}
	for _, op := range r.Missing() {
		j.Missing = append(j.Missing, op.String())
	}
	for _, f := range r.Findings {
		o := opJudgement{Op: f.Op.String(), Arith: f.Arith.String(), Listed: f.Listed, Cases: f.Cases, Offered: f.Offered, Failed: f.Failed,
			LeftOut: f.LeftOut, Runs: f.Ways}
		if !math.IsInf(f.Diff, 0) {
			o.Difference = &f.Diff
		}
		if r.Info.Promise != kernels.Identical {
			o.Bound = kernels.Bound[f.Arith]
		}
		if f.Err != nil {
			o.Error = firstLine(f.Err)
		}
		j.Ops = append(j.Ops, o)
	}
	return j
}

func promiseName(p kernels.Promise) string {
	if p == kernels.Identical {
		return "identical"
	}
	return "close"
}

func (p *program) printJudgement(j judgement) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, promise: %s\n\n", j.Library, j.Version, j.Promise)
	var rows [][]string
	var errs []string
	for rest := j.Ops; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Op == rest[0].Op {
			n++
		}
		rows = append(rows, judgedRow(rest[:n], slices.Contains(j.Missing, rest[0].Op)))
		for _, o := range rest[:n] {
			if o.Error != "" {
				errs = append(errs, o.Error)
			}
		}
		rest = rest[n:]
	}
	b.WriteString(p.tableOf([]string{"Op", "Cases", "Offered", "Runs", "Worst difference", "Promise"}, rows, 1, 2, 3, 4))
	if j.Error != "" {
		errs = append([]string{j.Error}, errs...)
	}
	if len(errs) > 0 {
		b.WriteString("\n" + strings.Join(errs, "\n") + "\n")
	}
	if j.Restarts > 0 {
		fmt.Fprintf(&b, "\nopened again %s after it had broken\n", plural(j.Restarts, "time"))
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// judgedRow is the line of an op.
func judgedRow(list []opJudgement, missing bool) []string {
	var all opJudgement
	worst, where := 0.0, ""
	var without []string
	for _, o := range list {
		all.Cases, all.Offered, all.Failed, all.LeftOut, all.Runs = all.Cases+o.Cases, all.Offered+o.Offered, all.Failed+o.Failed, all.LeftOut+o.LeftOut, all.Runs+o.Runs
		d := math.Inf(1)
		if o.Difference != nil {
			d = *o.Difference
		}
		if d > worst {
			worst, where = d, " "+o.Arith
		}
		if o.Offered == 0 && o.LeftOut == 0 {
			without = append(without, o.Arith)
		}
	}
	verdict := "kept"
	switch {
	case all.Failed > 0 && all.LeftOut > 0:
		verdict = fmt.Sprintf("not kept: %s wrong, %d left out", plural(all.Failed, "case"), all.LeftOut)
	case all.Failed > 0:
		verdict = fmt.Sprintf("not kept: %s wrong", plural(all.Failed, "case"))
	case missing:
		verdict = "not kept: in its list, and offered in no case"
	case all.Offered == 0:
		return []string{list[0].Op, fmt.Sprint(all.Cases), "0", "", "", "not one of its ops"}
	case len(without) > 0:
		verdict = "kept; not offered: " + strings.Join(without, ", ")
	}
	return []string{list[0].Op, fmt.Sprint(all.Cases), fmt.Sprint(all.Offered), fmt.Sprint(all.Runs), fmt.Sprintf("%.2g%s", worst, where), verdict}
}
