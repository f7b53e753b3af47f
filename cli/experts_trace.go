package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab/look"
	"troupe/lab/page"
	"troupe/lab/trace"
)

func (p *program) traceCommand() *cli.Command {
	const category = "Output"
	return &cli.Command{
		Name: "trace", Usage: "show which expert each word went to", ArgsUsage: "[PROMPT]",
		Description: `Runs texts with their routing recorded and shows them in the colours of their
likeliest experts in a layer. Texts are the argument, a file of --text, the
requests of --prompts as for run, or those that a file has (--in). They are
read as they are; with --max-tokens, or from --prompts, the model goes on.

A token has the experts of the layer that it passed through itself. With --wrote
it has those of the token before it, whose layers drew it.

--layer all prints a line a token, with its likeliest expert in every layer.
Where there are no colours, numbers stand behind the words. --html writes a page
that shows all layers, by itself in any browser.

troupe experts trace "Recipe: Two eggs and 30 g of sugar"
troupe experts trace --max-tokens 80 --layer 0 "Tale: The Fox"
troupe experts trace --text heldout.jsonl --out heldout.routing --html page.html
troupe experts trace --in heldout.routing --layer all --show 1`,
		Flags: append(append(append(append([]cli.Flag{
			&cli.StringFlag{Name: "in", Usage: "`FILE` of routing to show, as --out and run --routing-trace write it", TakesFile: true}},
			textFlags()...),
			&cli.StringFlag{Name: "prompts", Usage: "`FILE` of requests in JSONL, - for standard input", TakesFile: true},
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write the routing to", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "html", Usage: "`FILE` to write a page to", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "layer", Usage: "`LAYER` to show: 0, last, several as 0-2,5, or all", DefaultText: "last", Category: category},
			&cli.BoolFlag{Name: "wrote", Usage: "a token has the experts that drew it, not those it passed through", Category: category},
			&cli.IntFlag{Name: "show", Value: 3, Usage: "texts that are printed; 0: none", Category: category},
			jsonFlag("print a document a line as JSON: tokens, and experts and gates by layer"),
		), samplingFlags()...), engineFlags()...),
		Action: p.trace,
	}
}

// source is where documents with routing come from. It hands them out one by one, in order.
type source struct {
	header trace.Header
	spell  *speller
	each   func(func(*trace.Doc) error) error
}

// tracing is one run of the command.
type tracing struct {
	*program
	source source
	view   textView
	wrote  bool
	show   int
	json   bool
	counts *look.Counts
	page   *page.Page    // nil: none
	out    *trace.Writer // nil: none
	docs   int
	tokens int64
	first  [][]int64 // [layers shown][experts]: of what is shown
}

func (p *program) trace(c *cli.Context) error {
	s, err := p.traceSource(c)
	if err != nil {
		return err
	}
	t := &tracing{program: p, source: s, wrote: c.Bool("wrote"), show: c.Int("show"), json: c.Bool("json")}
	if t.show < 0 {
		return badFlag("show", fmt.Errorf("%d, want 0 or more", t.show))
	}
	t.view = textView{ink: p.ink(), columns: p.columns(), experts: s.header.NumExperts}
	if t.view.layers, err = readLayers(c.String("layer"), s.header.NumLayers); err != nil {
		return badFlag("layer", err)
	}
	if t.counts, err = look.NewCounts(s.header.NumLayers, s.header.NumExperts); err != nil {
		return err
	}
	finish, err := t.files(c)
	if err != nil {
		return err
	}
	cause := s.each(t.take)
	if cut := errors.Is(cause, trace.ErrCut); cause != nil && !cut {
		return finish(cause)
	}
	return errors.Join(finish(nil), t.end(c.String("out")), cause)
}

// take handles a document.
func (t *tracing) take(d *trace.Doc) error {
	look.Count(t.counts, d)
	t.docs++
	t.tokens += int64(len(d.Tokens))
	if t.out != nil {
		if err := t.out.Add(d); err != nil {
			return err
		}
	}
	if t.page == nil && !t.json && t.docs > t.show {
		return nil
	}
	words := t.source.spell.words(d, t.wrote)
	name := strings.TrimSpace(d.ID + " " + d.Domain)
	if t.page != nil {
		t.page.Add(name, words)
	}
	switch {
	case t.json:
		return writeJSON(t.program.out, routingLine(d, words))
	case t.docs > t.show:
		return nil
	}
	if t.docs > 1 || d.Domain != "" {
		if err := t.print(t.view.ink.dim("── "+label(name)+" ──") + "\n"); err != nil {
			return err
		}
	}
	t.count(words)
	return t.view.write(t.program.out, words)
}

// count counts the likeliest experts of what is printed.
func (t *tracing) count(words []page.Word) {
	if t.first == nil {
		t.first = make([][]int64, len(t.view.layers))
		for i := range t.first {
			t.first[i] = make([]int64, t.view.experts)
		}
	}
	for i, l := range t.view.layers {
		for w := range words {
			if e := likeliest(&words[w], l); e >= 0 {
				t.first[i][e]++
			}
		}
	}
}

// end says what was shown.
func (t *tracing) end(out string) error {
	if t.source.spell.doubted {
		t.notice("the tokenizer of --model does not spell these texts: ids are shown; say by --model which model made them")
	}
	if t.first != nil && len(t.view.layers) == 1 && !t.json {
		if err := t.print(fmt.Sprintf("\nlayer %d, likeliest experts, in %% of the tokens shown\n%s", t.view.layers[0], t.view.legend(t.first[0]))); err != nil {
			return err
		}
	}
	if t.docs > t.show && !t.json && t.show > 0 {
		t.notice("%d of %d texts are shown: --show %d shows all", t.show, t.docs, t.docs)
	}
	t.notice("%s, %s tokens: %s", textsOf(t.docs), thousands(t.tokens), strings.Join(about(t.source.header), ", "))
	if out != "" {
		t.notice("%s: the routing of %s", out, textsOf(t.docs))
	}
	return nil
}

// readLayers reads a layer, "last", "all", or a list as 0-2,5; ascending, each once.
func readLayers(spec string, layers int) (list []int, err error) {
	switch spec {
	case "", "last":
		return []int{layers - 1}, nil
	case "all":
		spec = fmt.Sprintf("0-%d", layers-1)
	}
	for part := range strings.SplitSeq(spec, ",") {
		lo, hi, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.Atoi(lo)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(hi)
		}
		if err != nil || from > to || to >= layers {
			return nil, fmt.Errorf("%q, want layers of 0 to %d, as 0, last, 0-2,5 or all", spec, layers-1)
		}
		for l := from; l <= to; l++ {
			list = append(list, l)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
