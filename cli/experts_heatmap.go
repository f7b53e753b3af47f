package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab/look"
	"troupe/lab/trace"
)

func (p *program) heatmapCommand() *cli.Command {
	const category = "Output"
	return &cli.Command{
		Name: "heatmap", Usage: "how often each expert of each layer is used", ArgsUsage: "[FILE...]",
		Description: `Counts files of routing, as experts trace --out and run --routing-trace write
them, or a text that is run now: that of --text, or without a FILE the one that
comes with the embedded demo. --what says what is shown:

share         of a layer's choices that each expert has, in per cent
gate          of the gates, the weights of the experts' outputs, in per cent
first         of the tokens whose likeliest expert it is, in per cent
lift          share in a domain divided by share in all: 2 is twice as often
coactivation  of the tokens of the expert of a row those that used the one of
              the column as well, in per cent
similarity    of two experts: the cosine of their gates over all tokens, with 0
              where a token did not use one
jaccard       tokens that used both experts by tokens that used one of them

--by domain draws a map for each domain of the texts. --top-tokens names the
tokens that an expert gets most above expectation (by Dunning's G2), with how
many times as often as its load lets one expect.

troupe experts heatmap
troupe experts heatmap heldout.routing --by domain --png domains.png
troupe experts heatmap heldout.routing --what similarity --layer 5
troupe experts heatmap heldout.routing --top-tokens 6 --layer 0,5`,
		Flags: append(append(textFlags(),
			&cli.StringFlag{Name: "what", Value: "share", Usage: "`WHAT` to show: share, gate, first, lift, coactivation, similarity, jaccard"},
			&cli.StringFlag{Name: "by", Usage: "`WHAT` there is a map for each of: domain", DefaultText: "none"},
			&cli.StringFlag{Name: "layer", Usage: "`LAYERS` to show: 0, last, several as 0-2,5, or all", DefaultText: "all; for tokens the last"},
			&cli.IntFlag{Name: "top-tokens", Usage: "name the N most typical tokens of each expert", DefaultText: "none"},
			&cli.StringFlag{Name: "csv", Usage: "`FILE` to write the values to, - for standard output", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "png", Usage: "`FILE` for a picture", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "svg", Usage: "`FILE` for a picture of vectors", TakesFile: true, Category: category},
			jsonFlag("print one JSON object instead of maps"),
			expertsFlag(""),
		), engineFlags()...),
		Action: p.heatmap,
	}
}

// mapping is one run of the command.
type mapping struct {
	what    string
	layers  []int // that are shown
	domains *look.Domains
	pairs   *look.Pairs  // nil: not asked for
	tokens  *look.Tokens // nil: not asked for
	typical []int        // layers of tokens
	top     int
	docs    int
}

// measures are the values of --what that are shares of a load.
var measures = map[string]look.Measure{"share": look.Use, "gate": look.Gates, "first": look.First, "lift": look.Use}

var whats = []string{"share", "gate", "first", "lift", "coactivation", "similarity", "jaccard"}

func (p *program) heatmap(c *cli.Context) error {
	m := &mapping{what: c.String("what"), top: c.Int("top-tokens")}
	byDomain, err := m.readFlags(c)
	if err != nil {
		return err
	}
	s, err := p.mapSource(c)
	if err != nil {
		return err
	}
	if err := m.start(c, s.header); err != nil {
		return err
	}
	cause := s.each(m.take)
	if cause != nil && !errors.Is(cause, trace.ErrCut) {
		return cause
	}
	h, err := m.heat(byDomain)
	if err != nil {
		return errors.Join(err, cause)
	}
	err = p.showHeat(c, h, m, s)
	p.notice("%s, %s tokens: %s", textsOf(m.docs), thousands(slices.Max(m.domains.All.Rows)), strings.Join(about(s.header), ", "))
	return errors.Join(err, cause)
}

// readFlags checks what needs no model.
func (m *mapping) readFlags(c *cli.Context) (byDomain bool, err error) {
	if !slices.Contains(whats, m.what) {
		return false, badFlag("what", fmt.Errorf("%q, want %s%s", m.what, strings.Join(whats, ", "), didYouMean("", m.what, whats)))
	}
	_, load := measures[m.what]
	switch by := c.String("by"); {
	case by == "domain" && !load:
		return false, usagef("--what %s is of all texts: leave --by domain out, or show files of one domain", m.what)
	case by != "" && by != "domain":
		return false, badFlag("by", fmt.Errorf("%q, want domain", by))
	case m.top < 0 || m.top > 1000:
		return false, badFlag("top-tokens", fmt.Errorf("%d, want 0 to 1000", m.top))
	default:
		return by == "domain" || m.what == "lift", nil
	}
}

// start makes room for the counts.
func (m *mapping) start(c *cli.Context, h trace.Header) (err error) {
	spec := c.String("layer")
	if m.typical, err = readLayers(spec, h.NumLayers); err == nil {
		if m.layers = m.typical; spec == "" {
			m.layers, err = readLayers("all", h.NumLayers)
		}
	}
	if err != nil {
		return badFlag("layer", err)
	}
	if m.domains, err = look.NewDomains(h.NumLayers, h.NumExperts); err != nil {
		return err
	}
	if _, load := measures[m.what]; !load {
		if m.pairs, err = look.NewPairs(h.NumLayers, h.NumExperts); err != nil {
			return err
		}
	}
	if m.top > 0 {
		m.tokens = look.NewTokens(m.typical, h.NumExperts, m.what == "first")
	}
	return nil
}

func (m *mapping) take(d *trace.Doc) error {
	m.docs++
	for i := range d.Rows {
		if m.pairs != nil {
			m.pairs.Add(d.Rows[i].Path)
		}
		if m.tokens != nil {
			if err := m.tokens.Add(d.Rows[i].Token, d.Rows[i].Path); err != nil {
				return err
			}
		}
	}
	return m.domains.Add(d)
}

// mapSource is the files of the arguments one after the other, or --text.
func (p *program) mapSource(c *cli.Context) (source, error) {
	files := c.Args().Slice()
	switch {
	case len(files) > 0 && c.IsSet("text"):
		return source{}, usagef("FILE and --text: give one of them")
	case len(files) == 0:
		r, err := p.newRecording(c)
		if err == nil {
			err = r.judgeFile(c)
		}
		if err != nil {
			return source{}, err
		}
		return r.source(c), nil
	}
	first, err := p.fileSource(files[0], c)
	if err != nil {
		return source{}, err
	}
	own := first.each
	first.each = func(take func(*trace.Doc) error) error {
		if err := own(take); err != nil {
			return err
		}
		for _, name := range files[1:] {
			next, err := p.fileSource(name, c)
			if err != nil {
				return err
			}
			if a, b := first.header, next.header; a.NumLayers != b.NumLayers || a.NumExperts != b.NumExperts {
				return fmt.Errorf("%s: %d layers of %d experts, want %d of %d as in %s", name, b.NumLayers, b.NumExperts, a.NumLayers, a.NumExperts, files[0])
			}
			if err := next.each(take); err != nil {
				return err
			}
		}
		return nil
	}
	return first, nil
}

// showHeat writes the maps wherever they are wanted.
func (p *program) showHeat(c *cli.Context, h *heat, m *mapping, s source) error {
	if err := p.pictures(c, h); err != nil {
		return err
	}
	if name := c.String("csv"); name != "" {
		if err := p.toFile(name, h.writeCSV); err != nil || name == "-" {
			return err
		}
	}
	if c.Bool("json") {
		return writeJSON(p.out, m.report(h, s))
	}
	v := heatView{ink: p.ink(), columns: p.columns()}
	if err := p.print(v.text(h)); err != nil {
		return err
	}
	if m.tokens == nil {
		return nil
	}
	return p.print(m.typicalText(s.spell, v))
}

// toFile writes a file that is there when it is whole, or standard output for "-".
func (p *program) toFile(name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(p.out)
	}
	f, err := createFile(name)
	if err != nil {
		return err
	}
	return f.finish(write(f))
}
