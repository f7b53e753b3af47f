package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/bench"
	"troupe/kernels"
)

const (
	maxSide     = 1 << 20 // of a matrix
	maxElements = 1 << 32 // of a matrix
)

func (p *program) kernelsBenchCommand() *cli.Command {
	const category = "Shape"
	return &cli.Command{
		Name: "bench", Usage: "time one op, or all of a library", ArgsUsage: "OP|LIBRARY|FILE",
		Description: `Times a call of an op with random operands. The ops:
` + opNames() + `.
Variants take turns, and probes of memory and multiply unit run between them:
shares are of what these found. K inputs and N outputs are --in and --out; an
expert has the model's width in --in and its own in --out, the head the
vocabulary in --out.

With --cache-cold every call reads other copies of the weights, or of the keys
and values, 300 MB in all, as decode does with a large model.

With a library, as plugin:mine, or the file of a plugin, all its ops are timed
beside those of the best library that is built in, or of --kernels.

troupe kernels bench linear --in 6144 --out 32768 --cache-cold
troupe kernels bench expert --in 1024 --out 5464 --rows 1,12,64 --kernels cpu
troupe kernels bench attend --context 4096 --rows 1,128 --arith exact
troupe kernels bench bin/plugins/mine --rows 1,8`,
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "in", Value: 2048, Usage: "inputs, or the width of the model", Category: category},
			&cli.IntFlag{Name: "out", Value: 8192, Usage: "outputs, width of the expert, or vocabulary", Category: category},
			&cli.IntFlag{Name: "groups", Value: 1, Usage: "scale groups over the inputs of linear, or of the expert's last matrix", Category: category},
			&cli.StringFlag{Name: "rows", Value: "1", Usage: "`LIST` of batches, in rows", Category: category},
			&cli.IntFlag{Name: "context", Value: 1024, Usage: "positions, of which the rows are the last (rope, attend)", Category: category},
			&cli.IntFlag{Name: "heads", Value: 48, Usage: "query heads (rope, attend)", Category: category},
			&cli.IntFlag{Name: "kv-heads", Value: 8, Usage: "key heads (rope, attend)", Category: category},
			&cli.IntFlag{Name: "key-size", Value: 128, Usage: "width of a head (rope, attend)", Category: category},
			&cli.IntFlag{Name: "experts", Usage: "experts to choose from, or parts to combine", DefaultText: "8 for route, 2 for combine", Category: category},
			&cli.BoolFlag{Name: "float", Usage: "float32 matrices instead of int8", Category: category},
			&cli.BoolFlag{Name: "raw", Usage: "int8 matrices in the order of checkpoints instead of panels", Category: category},
			&cli.BoolFlag{Name: "cache-cold", Usage: "weights, keys and values from memory, not from caches"},
			&cli.StringFlag{Name: "kernels", Usage: "`LIST` of libraries", DefaultText: "all that run here, but ref and plugins"},
			&cli.StringFlag{Name: "arith", Value: "int8", Usage: "`NAME` arithmetic: exact, int8 or reference"},
			&cli.IntFlag{Name: "threads", Usage: "threads", DefaultText: "the cores, less one from 8 on"},
			&cli.IntFlag{Name: "reps", Value: 7, Usage: "samples of each"},
			opFlag(),
			jsonFlag("print one JSON object instead of a table"),
		}, pluginFlags("")...),
		Action: p.kernelsBench,
	}
}

// parseOp reads the name of an op.
func parseOp(name string) (kernels.Op, error) {
	for op := range kernels.NumOps {
		if op.String() == name {
			return op, nil
		}
	}
	return 0, fmt.Errorf("op %q, want one of %s", name, opNames())
}

func opNames() string {
	var names []string
	for op := range kernels.NumOps {
		names = append(names, op.String())
	}
	return strings.Join(names, ", ")
}

func (p *program) kernelsBench(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("%d arguments, want one OP of %s, or one LIBRARY or FILE", c.NArg(), opNames())
	}
	op, err := parseOp(c.Args().First())
	switch {
	case err != nil:
		return p.benchLibrary(c)
	case c.IsSet("op"):
		return usagef("--op: with the op %v there are no others: it is for libraries", op)
	}
	o, err := p.readOpBench(c, op)
	if err != nil {
		return err
	}
	report, end := p.progress("measuring", inRounds)
	o.Progress = func(done, all int) { report(int64(done), int64(all)) }
	r, err := bench.RunOp(c.Context, o)
	end()
	if r == nil || len(r.Results) == 0 {
		return err
	}
	return errors.Join(p.printOpBench(r, c.Bool("json")), err)
}

// readOpBench reads all flags but those of plugins, which are lent before.
func (p *program) readOpBench(c *cli.Context, op kernels.Op) (o bench.OpOptions, err error) {
	o.Op = op
	if o.Arith, err = kernels.ParseArith(c.String("arith")); err != nil {
		return o, badFlag("arith", err)
	}
	if o.Variants, err = p.readVariants(c); err != nil {
		return o, badFlag("kernels", err)
	}
	if o.Rows, err = parseInts(c.String("rows")); err != nil {
		return o, badFlag("rows", err)
	}
	for _, n := range o.Rows {
		if n < 1 || n > maxRows {
			return o, badFlag("rows", fmt.Errorf("%d, want 1 to %d", n, maxRows))
		}
	}
	threads, err := readThreads(c)
	if err != nil {
		return o, err
	}
	o.Threads, o.Cold = threads.Decode, c.Bool("cache-cold")
	if o.Repetitions, err = intWithin(c, "reps", maxReps); err != nil {
		return o, err
	}
	o.Shape, err = readShape(c, o.Op)
	return o, err
}

func readShape(c *cli.Context, op kernels.Op) (s bench.Shape, err error) {
	s = bench.Shape{Experts: 8, Float: c.Bool("float"), Raw: c.Bool("raw")}
	if op == kernels.Combine {
		s.Experts = 2
	}
	for _, n := range []struct {
		flag string
		to   *int
		most int
	}{
		{"in", &s.In, maxSide}, {"out", &s.Out, maxSide}, {"groups", &s.Groups, maxSide}, {"context", &s.Context, maxSide},
		{"heads", &s.Heads, 1 << 10}, {"kv-heads", &s.KVHeads, 1 << 10}, {"key-size", &s.KeySize, 1 << 12}, {"experts", &s.Experts, 1 << 12},
	} {
		if n.flag == "experts" && !c.IsSet(n.flag) {
			continue
		}
		if *n.to, err = intWithin(c, n.flag, n.most); err != nil {
			return s, err
		}
	}
	switch {
	case int64(s.In)*int64(s.Out) > maxElements:
		return s, usagef("--in %d and --out %d: want at most %d elements", s.In, s.Out, int64(maxElements))
	case s.Heads%s.KVHeads != 0:
		return s, badFlag("kv-heads", fmt.Errorf("%d, want a divisor of the %d heads", s.KVHeads, s.Heads))
	case s.KeySize%2 != 0:
		return s, badFlag("key-size", fmt.Errorf("%d, want an even number: rope turns pairs", s.KeySize))
	case s.In%s.Groups != 0 && op == kernels.Linear:
		return s, badFlag("groups", fmt.Errorf("%d, want a divisor of the %d inputs", s.Groups, s.In))
	case s.Out%s.Groups != 0 && op == kernels.Expert:
		return s, badFlag("groups", fmt.Errorf("%d, want a divisor of the expert's width %d", s.Groups, s.Out))
	}
	return s, nil
}

// readVariants finds libraries by name; without names, all built in that can run here but ref.
func (p *program) readVariants(c *cli.Context) (variants []kernels.Variant, err error) {
	list := c.String("kernels")
	if list == "" {
		for _, v := range kernels.Variants() {
			if v.Score() > 0 && v.Name != "ref" && !kernels.Lent(v.Name) {
				variants = append(variants, v)
			}
		}
		return variants, nil
	}
	h, err := p.readPlugins(c)
	if err != nil {
		return nil, err
	}
	if _, err := h.binding(c.Context, list); err != nil { // a list of libraries is a binding, too
		return nil, err
	}
	for name := range strings.SplitSeq(list, ",") {
		v, err := kernels.Find(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		variants = append(variants, v)
	}
	return variants, nil
}

func (p *program) printOpBench(r *bench.OpReport, asJSON bool) error {
	if r.Others > bench.NoisyShare {
		p.notice("noisy: other programs used %s of the processors", percent(r.Others))
	}
	if asJSON {
		return writeJSON(p.out, r)
	}
	var b strings.Builder
	cold := ""
	if r.Cold {
		cold = ", from memory"
	}
	fmt.Fprintf(&b, "%s, %s, %s%s; memory %s GB/s\n\n", r.Op, r.Arith, plural(r.Threads, "thread"), cold, digits(r.ReadBandwidth.Median/1e9))
	var rows [][]string
	for _, t := range r.Results {
		macs, share := "", ""
		if t.MACs > 0 {
			macs, share = digits(t.MACs/1e9), percent(t.PeakShare)
		}
		rows = append(rows, []string{t.Kernels, fmt.Sprint(t.Rows), digits(t.Micros.Median), digits(t.Micros.Min), digits(t.Micros.Max),
			macs, share, digits(t.Bytes / 1e9), percent(t.BandwidthShare)})
	}
	b.WriteString(p.tableOf([]string{"Library", "Rows", "µs", "Min", "Max", "GMAC/s", "of peak", "GB/s", "of memory"}, rows, 1, 2, 3, 4, 5, 6, 7, 8))
	_, err := io.WriteString(p.out, b.String())
	return err
}
