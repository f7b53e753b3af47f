package main

import (
	"github.com/urfave/cli/v2"

	"troupe/internal/control"
	"troupe/model"
	"troupe/stages/sched"
	"troupe/tokens"
)

func (p *program) runCommand() *cli.Command {
	const category = "Prompt and output"
	return &cli.Command{
		Name: "run", Usage: "generate text", ArgsUsage: "[PROMPT]",
		Description: `Continues a prompt: the argument, the ids of --tokens, the requests of
--prompts, or standard input, byte for byte. On a terminal and without a prompt
it asks for one again and again; /help there tells more.

Only the continuation is printed, as it is made; a summary goes to standard
error. Ctrl-C stops and prints what was made, a second one ends at once.

--prompts reads a request a line: prompt or tokens, and if wanted id,
max_tokens, temperature, top_p, top_k, min_p, seed, stop, ignore_eos, sampler,
experts, routing; what is left out, the flags say. They run together,
--max-batch at a time. Results are lines in the order of the requests; with
--json all events as they come.

With --routing the event of a token has "routing", for each layer the experts,
by rank, of the row that it was drawn from: that of the token before it. The
last event has "prompt_routing", the same for each token of the prompt. Without
--json the results of --prompts have both. --routing-trace writes the experts of
all rows of all requests, with their gates, into a file.

--token-log keeps tokens and results in a file as they come. Whatever ends the
run, --resume goes on with it: all results are printed, as if nothing had
happened, and none is computed twice. Flags that change tokens must be as they
were, or be left out; devices, kernels and threads may be others.

troupe run "Tale: The Lighthouse Keeper"
troupe run --temperature 0 --experts 1 --max-tokens 40 "Recipe: Apple pie"
troupe run --tokens 571,1996,361 --ids
troupe run --swap "token=20 expert=cpu/generic" --max-tokens 60 "Tale: The Fox"
echo '{"id": "a", "prompt": "Sums:", "seed": 7}' | troupe run --prompts -
troupe run --prompts requests.jsonl --token-log run.log > results.jsonl
troupe run --resume run.log > results.jsonl`,
		Flags: append(append(append([]cli.Flag{
			&cli.StringFlag{Name: "tokens", Usage: "`IDS` of the prompt: 5,17,3", Category: category},
			&cli.StringFlag{Name: "prompts", Usage: "`FILE` of requests in JSONL, - for standard input", TakesFile: true, Category: category},
			&cli.BoolFlag{Name: "ids", Usage: "print ids instead of text; with --tokens no tokenizer is needed", Category: category},
			&cli.BoolFlag{Name: "json", Usage: "print events as JSON, one a line; the last of a request sums it up", Category: category},
			&cli.BoolFlag{Name: "routing", Usage: "say in JSON which experts were used", Category: category},
			routingTraceFlag(category),
		}, tokenLogFlags(category)...), samplingFlags()...), append(append(engineFlags(), replicasFlag(engineCategory), padSizesFlag()), append(steerFlags(), chaosFlags()...)...)...),
		Action: p.run,
	}
}

func padSizesFlag() cli.Flag {
	return &cli.StringFlag{Name: "pad-sizes", Category: engineCategory,
		Usage: "`SIZES` of prompts: longer ones than the last are refused, and the size that holds one is reported; nothing is padded"}
}

// run is the command of that name: checks first, then model and engine, then one of three ways.
func (p *program) run(c *cli.Context) (err error) {
	if p.scribe, err = p.readScribe(c); err != nil {
		return err
	}
	defer func() { closeInto(&err, p.scribe.end) }()
	l, err := p.readLaunch(c)
	if err != nil {
		return err
	}
	if l.kernels.swaps, err = l.host.readSwaps(c); err != nil {
		return err
	}
	if l.kernels.control, err = readControl(c); err != nil {
		return err
	}
	if err = l.readChaos(c); err != nil {
		return err
	}
	s, err := readSampling(c, l.config)
	if err != nil {
		return err
	}
	in, err := p.readInput(c, s, l.config)
	if err != nil {
		return err
	}
	if in.interactive && c.Bool("chaos-check") {
		return usagef("--chaos-check and no prompt: what a person asks is not asked again: give a prompt")
	}
	if in.interactive && l.replicas() > 1 {
		return usagef("%d replicas and no prompt: one person keeps one of them busy: give --prompts, or leave replicas out", l.replicas())
	}
	if s.routing && !c.Bool("json") && !in.many {
		return usagef("--routing: text has no place for it: give --json too, or --routing-trace FILE")
	}
	if err := p.scribe.fits(in); err != nil {
		return err
	}
	g := &generator{config: l.config, padSizes: l.limits.PadSizes, scribe: p.scribe}
	if c.Bool("chaos-check") {
		g.witness = &witness{}
	}
	if in.needsText(c.Bool("ids")) {
		if g.tokenizer, err = fittingTokenizer(l.dir, l.config); err != nil {
			return err
		}
	}
	jobs, requests := make([]job, len(in.prompts)), []sched.Request(nil)
	for i, prompt := range in.prompts {
		if jobs[i] = g.prepare(prompt); jobs[i].err == nil {
			requests = append(requests, jobs[i].request)
		}
		jobs[i].number = i
	}
	if err := p.scribe.prepare(jobs); err != nil {
		return err
	}
	l.limit(requests, false)
	for i := range jobs {
		if jobs[i].err == nil {
			jobs[i].err = l.check(jobs[i].request)
		}
	}
	if !in.many && !in.interactive && jobs[0].err != nil {
		return jobs[0].err // nothing to load a model for
	}
	left, err := p.scribe.left(jobs)
	switch {
	case err != nil:
		return err
	case left == 0:
		return p.answer(c, g, l, jobs, in)
	}
	if l.kernels.control != "" {
		if err := control.Check(l.kernels.control); err != nil {
			return err
		}
	}
	if g.trace, err = newRoutingFile(c.String("routing-trace"), l, s.policy); err != nil {
		return err
	}
	defer closeInto(&err, g.trace.Close)
	for i := range jobs {
		jobs[i].request.Trace = jobs[i].routing || g.trace != nil
	}
	session, err := p.start(c.Context, l)
	if err != nil {
		return err
	}
	defer closeInto(&err, func() error { return p.reportChaos(c, l, session, g, jobs) })
	defer closeInto(&err, session.Close)
	g.engine, g.suspects = session.fleet, session.fleet.Suspects
	if err := p.scribe.begin(c, l, session, jobs); err != nil {
		return err
	}
	var end func() error
	if g.swaps, end, err = p.steer(c.Context, l, session); err != nil {
		return err
	}
	defer closeInto(&err, end)
	if in.interactive {
		return p.interactive(c.Context, g, session.watch.steering, s, c.Bool("ids"))
	}
	return p.answer(c, g, l, jobs, in)
}

// answer runs what was asked for, as far as it is not done.
func (p *program) answer(c *cli.Context, g *generator, l launch, jobs []job, in input) error {
	if in.many {
		return p.runMany(c.Context, g, jobs, l.concurrency(), c.Bool("json"))
	}
	return p.runOne(c.Context, g, jobs[0], c.Bool("json"), c.Bool("ids"))
}

// input is where prompts come from.
type input struct {
	prompts     []prompt
	many        bool // --prompts
	interactive bool
}

func (p *program) readInput(c *cli.Context, s sampling, config model.Config) (in input, err error) {
	given := c.NArg()
	for _, flag := range []string{"tokens", "prompts"} {
		if c.IsSet(flag) {
			given++
		}
	}
	one := prompt{id: []byte("0"), sampling: s}
	switch {
	case c.NArg() > 1:
		return in, usagef("%d arguments, want one PROMPT: put it in quotes", c.NArg())
	case given > 1:
		return in, usagef("PROMPT, --tokens and --prompts: give one of them")
	case c.IsSet("prompts"):
		in.many = true
		in.prompts, err = p.readPrompts(c.Context, c.String("prompts"), s, config)
		return in, err
	case c.IsSet("tokens"):
		if one.ids, err = parseIDs(c.String("tokens")); err != nil {
			return in, badFlag("tokens", err)
		}
	case given == 0 && isTerminal(p.in):
		if c.Bool("json") {
			return in, usagef("--json: no prompt: give one as an argument, or --tokens or --prompts")
		}
		in.interactive = true
		return in, nil
	default:
		text, err := p.promptText(c)
		if err != nil {
			return in, err
		}
		one.text = &text
	}
	in.prompts = []prompt{one}
	return in, nil
}

// promptText is the prompt given as argument or on standard input.
func (p *program) promptText(c *cli.Context) (string, error) {
	text, err := p.argumentOrInput(c, "PROMPT")
	if err == nil && text == "" {
		err = usagef("no prompt: give one as an argument or on standard input, or as ids by --tokens")
	}
	return text, err
}

// needsText tells whether a tokenizer is needed.
func (in input) needsText(ids bool) bool {
	need := !ids || in.interactive
	for _, p := range in.prompts {
		need = need || p.text != nil || len(p.stops) > 0
	}
	return need
}

// fittingTokenizer opens a tokenizer and compares it with the model.
func fittingTokenizer(dir directory, config model.Config) (*tokens.Tokenizer, error) {
	t, err := dir.tokenizer()
	if err != nil {
		return nil, err
	}
	return t, dir.blame(t.Check(config.VocabSize))
}
