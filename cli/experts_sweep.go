package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
	"troupe/lab"
	"troupe/lab/journal"
	"troupe/lab/sweep"
)

const (
	defaultSweepDir = "experts-sweep"
	quickTokens     = 4000
	quickReps       = 2
	maxSeeds        = 1000
	maxPolicies     = 4096
	// manyExperts is from where on not every count is measured unless it is asked for.
	manyExperts = 16
)

func (p *program) sweepCommand() *cli.Command {
	const category = "Measurement"
	return &cli.Command{
		Name: "sweep", Usage: "quality, speed and bytes by number of experts",
		Description: `Judges texts with every number of experts, and with the policies of --experts,
and has each go on with some prompts out of them. The table has for each policy
the experts that a token uses in a layer, the perplexity and half of its 95 %
interval (bootstrap over documents), its change against the model's own number
of experts in per cent, the Kullback-Leibler divergence from that one in nats a
token, how often both have the same likeliest token, new tokens a second and
their ratio, and the weights that a token reads. A second table has the
perplexity by domain.

--out is a folder for sweep.json, sweep.csv, figures (PNG and SVG) and
measurements.jsonl. Whatever stops a sweep, the same command goes on where it
was; with other settings it refuses, unless --restart throws away what is there.

troupe experts sweep
troupe experts sweep --quick --counts 1,2,4
troupe experts sweep --experts top-p:0.6 --experts random:2 --seeds 5
troupe experts sweep -m grok-1 --text a.jsonl --text b.txt --out sweep-1`,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "text", Usage: "`FILE` to judge, .txt or .jsonl, as for eval", DefaultText: "for the embedded demo its held-out text", TakesFile: true, Category: category},
			&cli.BoolFlag{Name: "no-eos", Usage: "do not end documents with EOS", Category: category},
			&cli.IntFlag{Name: "limit-tokens", Usage: "judge only the first documents of each domain, about so many tokens in all", DefaultText: "all", Category: category},
			&cli.StringFlag{Name: "counts", Usage: "`LIST` of numbers of experts: 1-8, or 1,2,4, or none", DefaultText: "all; of more than 16 experts some", Category: category},
			&cli.StringSliceFlag{Name: "experts", Usage: "`SPEC` of another policy, as for run (troupe help experts), or @FILE", Category: category},
			&cli.IntFlag{Name: "seeds", Value: 3, Usage: "seeds, 1 to N, over which policies by chance are averaged", Category: category},
			&cli.BoolFlag{Name: "no-kl", Usage: "leave divergence and agreement out, which need logits", Category: category},
			klMemoryFlag(category),
			&cli.IntFlag{Name: "streams", Value: 1, Usage: "requests at a time while speed is measured", Category: category},
			&cli.IntFlag{Name: "reps", Value: 5, Usage: "measurements of each speed; 0: none", Category: category},
			&cli.IntFlag{Name: "n-prompt", Value: 64, Usage: "tokens of their prompts", Category: category},
			&cli.IntFlag{Name: "n-gen", Value: 128, Usage: "new tokens behind them", Category: category},
			&cli.BoolFlag{Name: "quick", Usage: fmt.Sprintf("a first look: %s tokens, %d repetitions", thousands(quickTokens), quickReps), Category: category},
			&cli.StringFlag{Name: "out", Value: defaultSweepDir, Usage: "`DIR` for measurements, tables and figures", TakesFile: true, Category: category},
			&cli.BoolFlag{Name: "restart", Usage: "throw away the measurements of --out", Category: category},
			jsonFlag("print sweep.json instead of tables"),
		}, engineFlags()...),
		Action: p.sweep,
	}
}

func klMemoryFlag(category string) cli.Flag {
	return &cli.IntFlag{Name: "kl-memory", Value: lab.DefaultMemory >> 20, Usage: "MiB for logits that others are compared with", Category: category}
}

// sweeping is a sweep with where it comes from and goes to.
type sweeping struct {
	*program
	launch  launch
	options sweep.Options
	files   []string // of the texts, as they are named in the report
	kernels string
	dir     string
	restart bool
}

func (p *program) sweep(c *cli.Context) (err error) {
	s := &sweeping{program: p, dir: c.String("out"), restart: c.Bool("restart")}
	if s.launch, err = p.readLaunch(c); err != nil {
		return err
	}
	if s.kernels, err = s.launch.kernelNames(); err != nil {
		return err
	}
	if err := s.read(c); err != nil {
		return err
	}
	if err := s.limit(); err != nil {
		return err
	}
	s.launch.looksAt = true
	session, err := p.start(c.Context, s.launch)
	if err != nil {
		return err
	}
	defer closeInto(&err, session.Close)
	s.options.Weights = session.weights()
	start := time.Now()
	report, err := s.run(c.Context, session)
	if err != nil {
		return err
	}
	if err := s.write(report); err != nil {
		return err
	}
	if c.Bool("json") {
		return writeJSON(p.out, report)
	}
	return s.print(report, time.Since(start))
}

// limit bounds the engine for what is measured, and has every kind of request checked.
func (s *sweeping) limit() error {
	o := &s.options
	sized, err := sweep.New(*o)
	if err != nil {
		return &usageError{err: err}
	}
	requests, wanted := sized.Longest(), s.launch.limits.Sequences
	for len(requests) < wanted { // there are more documents than kinds
		requests = append(requests, requests...)
	}
	s.launch.limit(requests, true)
	if o.Trial.Repetitions > 0 && o.Trial.Streams > s.launch.limits.Sequences {
		return badFlag("streams", fmt.Errorf("%d, and --max-batch lets %d run at a time", o.Trial.Streams, wanted))
	}
	o.Requests = s.launch.concurrency()
	for _, r := range requests {
		if err := s.launch.check(r); err != nil {
			return err
		}
	}
	return nil
}

// run measures what is missing.
func (s *sweeping) run(ctx context.Context, session *session) (sweep.Report, error) {
	report, end := s.progress("measuring", inTokens)
	defer end()
	s.options.Progress = report
	measured, err := sweep.New(s.options)
	if err != nil {
		return sweep.Report{}, err
	}
	j, err := s.openJournal(measured)
	if err != nil {
		return sweep.Report{}, err
	}
	missing, all := measured.Missing()
	if missing < all {
		s.notice("%s: %d of %d measurements are there", s.dir, all-missing, all)
	}
	err = measured.Run(ctx, session.Engine, func(m sweep.Measurement) error { return j.Add(m) })
	end()
	if missing, _ = measured.Missing(); err != nil && missing < all {
		s.notice("%d of %d measurements are in %s: the same command goes on from there", all-missing, all, s.dir)
	}
	if err = errors.Join(err, j.Close()); err != nil {
		return sweep.Report{}, err
	}
	r := measured.Report()
	r.Model, r.Kernels, r.Devices, r.Texts = s.launch.dir.name, s.kernels, s.devices(), s.files
	if r.Identity, err = session.identity(s.options.Model); err != nil {
		return r, err
	}
	return r, nil
}

// kernelNames is the binding, or where it leaves the choice to the machine the library of experts.
func (l *launch) kernelNames() (string, error) {
	if text := l.binding.String(); text != "" {
		return text, nil
	}
	v, err := kernels.Find(l.binding.Library(kernels.Expert, 0))
	return v.Name, err
}

func (s *sweeping) devices() string {
	var names []string
	for _, d := range s.launch.placement.Devices {
		names = append(names, d.String())
	}
	return strings.Join(names, ",")
}

func (s *sweeping) openJournal(measured *sweep.Sweep) (*journal.Journal, error) {
	fields, err := measured.Fields()
	if err != nil {
		return nil, err
	}
	fields = append(fields, journal.Field{Name: "kernels", Value: s.kernels}, journal.Field{Name: "devices", Value: s.devices()},
		journal.Field{Name: "program", Value: readBuild().String()})
	return journal.Open(journal.Options{File: filepath.Join(s.dir, "measurements.jsonl"), Kind: "experts sweep", Version: sweep.Version,
		Fields: fields, Restart: s.restart}, measured.Take)
}
