package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"troupe/stages/sample"
)

// replCommand is what a line that begins with a slash does.
type replCommand struct {
	name, argument, does string
	run                  func(r *repl, ctx context.Context, argument string) error
}

// replCommands are the commands of the interactive mode, in the order of its help.
func replCommands() []replCommand {
	return []replCommand{
		{"help", "", "this list", (*repl).help},
		{"more", "", "continue the last text", (*repl).more},
		{"experts", "[SPEC]", "experts a token uses: 3, 0-2:1,3-5:4 or @FILE; alone: those used so far", orElse((*repl).showRouting, (*repl).setExperts)},
		{"temperature", "F", "0 takes the likeliest token", number1(func(p *sample.Params, v float64) { p.Temperature = v })},
		{"top-p", "F", "keep the likeliest tokens that hold this much", number1(func(p *sample.Params, v float64) { p.TopP = v })},
		{"top-k", "N", "keep this many tokens, 0 keeps all", setting1(func(r *repl, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil {
				return fmt.Errorf("%q: want an integer", s)
			}
			return r.setParams(func(p *sample.Params) { p.TopK = n })
		})},
		{"min-p", "F", "keep tokens of this share of the largest probability", number1(func(p *sample.Params, v float64) { p.MinP = v })},
		{"seed", "N", "of the random numbers", setting1(func(r *repl, s string) error {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return fmt.Errorf("%q: want an integer from 0", s)
			}
			return r.setParams(func(p *sample.Params) { p.Seed = n })
		})},
		{"max-tokens", "N", "new tokens", setting1(func(r *repl, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return fmt.Errorf("%q: want an integer from 1", s)
			}
			r.settings.maxTokens = n
			return nil
		})},
		{"settings", "", "what is set", (*repl).showSettings},
		{"reset", "", "set everything as the flags have it", func(r *repl, ctx context.Context, _ string) error {
			r.settings = r.initial
			return r.showSettings(ctx, "")
		}},
		{"stats", "", "what the engine has done", (*repl).stats},
		{"company", "", "workers, devices, stages, what is on its way", (*repl).showCompany},
		{"move", "PART to=DEVICE", "put it elsewhere: stage=1 to=b:7000, expert=3.5 to=local/0", (*repl).move},
		{"kernels", "", "what computes what, and a swap under way", (*repl).showKernels},
		{"swap", "BINDING", "change what computes what: expert=plugin:mine", (*repl).swap},
		{"rollback", "", "back to the kernels before the last swap", (*repl).rollback},
		{"quit", "", "leave, as Ctrl-D does", func(r *repl, _ context.Context, _ string) error {
			r.left = true
			return nil
		}},
	}
}

// command runs a line that begins with a slash; its mistakes end nothing.
func (r *repl) command(ctx context.Context, line string) error {
	name, argument, _ := strings.Cut(strings.TrimSpace(line[1:]), " ")
	argument = strings.TrimSpace(argument)
	var names []string
	for _, c := range replCommands() {
		names = append(names, c.name)
		if c.name != name {
			continue
		}
		switch {
		case c.argument == "" && argument != "":
			r.complain(fmt.Errorf("/%s: it takes no argument", name))
		case c.argument != "" && c.argument[0] != '[' && argument == "":
			r.complain(fmt.Errorf("/%s: want /%s %s", name, name, c.argument))
		default:
			err := c.run(r, ctx, argument)
			var bad *settingError
			if !errors.As(err, &bad) {
				return err
			}
			r.complain(fmt.Errorf("/%s: %w", name, bad.err))
		}
		return nil
	}
	r.complain(fmt.Errorf("unknown command /%s%s; /help lists them", name, didYouMean("/", name, names)))
	return nil
}

// settingError is a mistake in the argument of a command.
type settingError struct{ err error }

func (e *settingError) Error() string { return e.err.Error() }

// setting1 is a command that changes a setting.
func setting1(set func(r *repl, value string) error) func(*repl, context.Context, string) error {
	return func(r *repl, _ context.Context, value string) error {
		if err := set(r, value); err != nil {
			return &settingError{err}
		}
		return nil
	}
}

// setExperts has tokens use other experts from here on.
func (r *repl) setExperts(ctx context.Context, spec string) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.interrupts.catch(cancel)() // a pipe as the file may take for ever
	policy, err := policyOf(own, spec, r.generator.config)
	if err != nil {
		return &settingError{err}
	}
	r.settings.policy = policy
	return nil
}

// orElse is a command that does something else without its argument.
func orElse(without, with func(*repl, context.Context, string) error) func(*repl, context.Context, string) error {
	return func(r *repl, ctx context.Context, value string) error {
		if value == "" {
			return without(r, ctx, value)
		}
		return with(r, ctx, value)
	}
}

// number1 is a command that changes a number of the sampling.
func number1(put func(*sample.Params, float64)) func(*repl, context.Context, string) error {
	return setting1(func(r *repl, s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("%q: want a number", s)
		}
		return r.setParams(func(p *sample.Params) { put(p, v) })
	})
}

// setParams changes the sampling if the result is valid.
func (r *repl) setParams(change func(*sample.Params)) error {
	p := r.settings.params
	change(&p)
	if err := p.Validate(); err != nil {
		return err
	}
	r.settings.params = p
	return nil
}

func (r *repl) help(context.Context, string) error {
	for _, c := range replCommands() {
		fmt.Fprintf(r.err, "  %-18s%s\n", "/"+c.name+" "+c.argument, c.does)
	}
	fmt.Fprintln(r.err, "  Ctrl-C            end a text that is being made\n  any other line    continue it")
	return nil
}

func (r *repl) more(ctx context.Context, _ string) error {
	if len(r.last) == 0 {
		return &settingError{errors.New("no text yet")}
	}
	return r.generate(ctx, prompt{ids: r.last, sampling: r.settings})
}

func (r *repl) showSettings(context.Context, string) error {
	p, tokens := r.settings.params, "default"
	if r.settings.maxTokens > 0 {
		tokens = strconv.Itoa(r.settings.maxTokens)
	}
	fmt.Fprintf(r.err, "  experts %v, temperature %g, top-p %g, top-k %d, min-p %g, seed %d, max-tokens %s\n",
		r.settings.policy, p.Temperature, p.TopP, p.TopK, p.MinP, p.Seed, tokens)
	return nil
}
