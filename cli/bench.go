package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8/decor"

	"troupe/actors"
	"troupe/bench"
	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/lab"
	"troupe/model"
	"troupe/stages"
)

const (
	defaultPrompt = 512 // --n-prompt
	maxReps       = 10_000
)

func (p *program) benchCommand() *cli.Command {
	const category = "Measurement"
	return &cli.Command{
		Name: "bench", Usage: "speed of a model, beside what the machine can do",
		Description: `Measures prefill (the prompt's tokens a second) and decode (new tokens a second,
behind that prompt), with the whole engine. Probes run in between: how fast the
threads read memory, which bounds decode, and how fast they multiply, which
bounds prefill. "Decode / memory" is the part of the bandwidth that decode has
used for the weights, keys and values it must read; "prefill / peak" the part of
the peak that the multiply-adds of prefill's matrices have used. The times of
the ops are taken in a round of their own. With --workers there is the speed
alone: probes and times of ops are of this machine.

Rounds in which other programs had more than 5 % of the processors are marked as
noisy and left out of the medians, unless most are. Ctrl-C stops and prints what
there is.

troupe bench
troupe bench --preset bench-memory --threads 2 --json
troupe bench --kernels cpu --compare cpu/generic
troupe bench --arith int8 --compare exact --streams 4`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "preset", Usage: "`NAME` of a configuration, with random weights that are removed afterwards: " + presetNames(), DefaultText: "the model of -m", Category: category},
			&cli.IntFlag{Name: "n-prompt", Value: defaultPrompt, Usage: "tokens of the prompt; less if the context is short", Category: category},
			&cli.IntFlag{Name: "n-gen", Value: 64, Usage: "new tokens", Category: category},
			&cli.IntFlag{Name: "reps", Value: 5, Usage: "rounds", Category: category},
			&cli.IntFlag{Name: "streams", Value: 1, Usage: "requests at a time", Category: category},
			&cli.StringFlag{Name: "compare", Usage: "`WITH` other kernels or another arithmetic, in turns", DefaultText: "none", Category: category},
			jsonFlag("print one JSON object instead of tables"),
			expertsFlag(""),
		}, benchEngineFlags()...),
		Action: p.bench,
	}
}

// benchEngineFlags are the engine flags but for --trace, which the measurement needs for itself.
func benchEngineFlags() []cli.Flag {
	return slices.DeleteFunc(engineFlags(), func(f cli.Flag) bool { return f.Names()[0] == "trace" })
}

func (p *program) bench(c *cli.Context) (err error) {
	preset := c.String("preset")
	remove := func() error { return nil }
	if preset != "" {
		if remove, err = presetDir(c); err != nil {
			return err
		}
	}
	defer closeInto(&err, func() error { return remove() })
	l, err := p.readLaunch(c)
	if err != nil {
		return err
	}
	o, err := readBench(c, &l)
	if err != nil {
		return err
	}
	names := []string{c.String("kernels"), c.String("kernels")}
	launches := []launch{l}
	if with := c.String("compare"); with != "" {
		if l.placement.away() {
			return usagef("--compare with workers: it takes two engines in turns, and a worker serves one: bench each alone")
		}
		other, name, err := l.compared(c.Context, with, names[0])
		if err != nil {
			return badFlag("compare", err)
		}
		launches, names[1] = append(launches, other), name
	}
	if preset != "" {
		l.dir.name = "preset " + preset
		if err := p.writeSynthetic(c.Context, c.String("model"), l.stored()); err != nil {
			return err
		}
	}
	if l.workers != nil {
		defer l.workers.close()
		l.need = l.placement.here(l.config)
	}
	m, err := p.openModel(c.Context, l)
	if err != nil {
		return err
	}
	defer closeInto(&err, m.Close)
	o.Weights = m.Weights
	if l.workers != nil { // the bytes of all are counted, also of what is not here
		var whole *load.Model
		if whole, err = p.whole(c.Context, l); err != nil {
			return err
		}
		defer closeInto(&err, whole.Close)
		if m.identity, err = lab.Identity(l.config, whole.Weights); err != nil {
			return err
		}
		o.Weights = whole.Weights
	}
	_ = remove() // mapped files live on, so that a program that is killed leaves nothing; where they do not, later
	watch, err := p.watchKernels(l)
	if err != nil {
		return err
	}
	defer closeInto(&err, watch.Close)
	for i, l := range launches {
		s, err := p.subject(l, names[i], m, watch)
		if err != nil {
			return err
		}
		o.Subjects = append(o.Subjects, s)
	}
	report, end := p.progress("measuring", inRounds)
	o.Progress = func(done, all int) { report(int64(done), int64(all)) }
	r, err := bench.Run(c.Context, o)
	end()
	if r == nil {
		return err
	}
	return errors.Join(p.printBench(r, l.dir.name, c.Bool("json")), err)
}

func inRounds() decor.Decorator { return decor.CountersNoUnit("%d / %d rounds ") }

// readBench reads what is measured, and bounds the engine for it.
func readBench(c *cli.Context, l *launch) (o bench.Options, err error) {
	o.Model = l.config
	if o.Policy, err = readExperts(c, l.config); err != nil {
		return o, err
	}
	for _, n := range []struct {
		flag string
		to   *int
		most int
	}{
		{"n-prompt", &o.Prompt, l.config.SequenceLen}, {"n-gen", &o.Generate, l.config.SequenceLen},
		{"reps", &o.Repetitions, maxReps}, {"streams", &o.Streams, maxRows},
	} {
		if *n.to = c.Int(n.flag); c.IsSet(n.flag) || n.flag != "n-prompt" {
			if *n.to, err = intWithin(c, n.flag, n.most); err != nil {
				return o, err
			}
		}
	}
	room := l.config.SequenceLen - bench.Positions(0, o.Generate, o.Streams)
	switch {
	case room < 1, c.IsSet("n-prompt") && o.Prompt > room:
		return o, usagef("--n-prompt %d, --n-gen %d and --streams %d take %d positions, and the context has %d: want fewer of one of them",
			o.Prompt, o.Generate, o.Streams, bench.Positions(o.Prompt, o.Generate, o.Streams), l.config.SequenceLen)
	case !c.IsSet("n-prompt"):
		o.Prompt = min(o.Prompt, room)
	}
	if !c.IsSet("max-batch") {
		l.limits.Sequences = o.Streams
	}
	if l.limits.Sequences < o.Streams {
		return o, badFlag("streams", fmt.Errorf("%d, and --max-batch lets %d run at a time", o.Streams, l.limits.Sequences))
	}
	requests := o.Requests()
	l.limit(requests, false)
	return o, l.check(requests[0])
}

// compared is the launch with other kernels or another arithmetic, and the name of its kernels.
func (l launch) compared(ctx context.Context, with, name string) (launch, string, error) {
	a, err := kernels.ParseArith(with)
	if err == nil {
		l.arith = a
		return l, name, nil
	}
	b, other := l.host.binding(ctx, with)
	if other != nil {
		return l, "", fmt.Errorf("neither an arithmetic (exact, int8, reference) nor kernels: %w", other)
	}
	l.binding = b
	return l, with, nil
}

// subject is a launch as something to measure.
func (p *program) subject(l launch, name string, m *opened, w *kernelWatch) (bench.Subject, error) {
	s := bench.Subject{Kernels: name, Arith: l.arith, Devices: len(l.placement.Devices), Away: l.placement.away()}
	v, err := kernels.Find(l.binding.Library(kernels.Expert, 0))
	if err != nil {
		return s, err
	}
	s.Variant = v.Name
	if !strings.ContainsAny(s.Kernels, "=,") {
		s.Kernels = v.Name
	}
	for _, d := range l.placement.Devices {
		t := d.KernelThreads()
		s.Threads.Decode, s.Threads.Prefill = s.Threads.Decode+t.Decode, s.Threads.Prefill+t.Prefill
	}
	s.Start = func(ctx context.Context, turns actors.Trace, wrap stages.Wrap) (*actors.Engine, error) {
		return actors.Start(ctx, p.engineOptions(l, m, turns, wrap, w))
	}
	return s, nil
}

// presetDir makes a directory for the model of --preset, with its configuration alone, and points --model there.
func presetDir(c *cli.Context) (remove func() error, err error) {
	if c.IsSet("model") {
		return nil, usagef("--model and --preset: give one of them")
	}
	preset, err := model.FindPreset(c.String("preset"))
	if err != nil {
		return nil, badFlag("preset", err)
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	if err := errors.Join(writeConfig(dir, preset.Config), c.Set("model", dir)); err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// writeSynthetic writes random weights into a directory that has its configuration.
func (p *program) writeSynthetic(ctx context.Context, dir string, config model.Config) error {
	const seed = 42
	report, end := p.progress("writing", inBytes)
	defer end()
	return ckpt.Write(ctx, dir, sources(config, seed, false), ckpt.Options{Progress: report, Log: p.logs.part("ckpt")})
}
