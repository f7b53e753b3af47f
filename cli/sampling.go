package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/model"
	"troupe/router"
	"troupe/stages/sample"
)

// defaultTokens is how many tokens are made when nobody says.
const defaultTokens = 256

// defaultTemperature is where the embedded demo reads well and still varies.
const defaultTemperature = 0.7

const samplingCategory = "Sampling"

// samplingFlags say how tokens are drawn; a request of --prompts may say otherwise.
func samplingFlags() []cli.Flag {
	d := sample.Defaults()
	return []cli.Flag{
		&cli.IntFlag{Name: "max-tokens", Aliases: []string{"max-len"}, Category: samplingCategory,
			Usage: "exact number of new tokens, unless the model ends the text", DefaultText: fmt.Sprint(defaultTokens, ", or what the context leaves")},
		&cli.Float64Flag{Name: "temperature", Value: defaultTemperature, Usage: "`F` divides the logits; 0 takes the likeliest token", Category: samplingCategory},
		&cli.Float64Flag{Name: "top-p", Aliases: []string{"nucleus-p"}, Value: d.TopP, Usage: "`F` of the probability is kept, the likeliest tokens", Category: samplingCategory},
		&cli.IntFlag{Name: "top-k", Usage: "keep the N likeliest tokens", DefaultText: "all", Category: samplingCategory},
		&cli.Float64Flag{Name: "min-p", Usage: "`F` of the largest probability is the least that is kept", DefaultText: "0, all", Category: samplingCategory},
		&cli.Uint64Flag{Name: "seed", Value: d.Seed, Usage: "of the random numbers: the same seed gives the same text", Category: samplingCategory},
		&cli.StringSliceFlag{Name: "stop", KeepSpace: true, Usage: "`STR` ends the text, and is left out", Category: samplingCategory},
		&cli.BoolFlag{Name: "ignore-eos", Usage: "go on when the model ends the text", Category: samplingCategory},
		&cli.StringFlag{Name: "sampler", Value: d.Sampler.String(), Category: samplingCategory,
			Usage: "`NAME` exact, or the released sampler in jax-f32 or jax-bf16"},
		expertsFlag(samplingCategory),
	}
}

func expertsFlag(category string) cli.Flag {
	return &cli.StringFlag{Name: "experts", DefaultText: "as the model says", Category: category,
		Usage: "`SPEC` of the experts a token uses: a count (2), counts by layer (0-2:1,3-5:4), rules (top-p:0.9, threshold:0.5, 2+mask:3,5; troupe help experts has all), or @FILE"}
}

// sampling is how one text is drawn.
type sampling struct {
	maxTokens int // 0: not said
	params    sample.Params
	stops     []string
	ignoreEOS bool
	routing   bool // say which experts were used
	policy    router.Policy
}

// readSampling reads the flags; c is the model's configuration.
func readSampling(c *cli.Context, config model.Config) (sampling, error) {
	s := sampling{maxTokens: c.Int("max-tokens"), stops: c.StringSlice("stop"), ignoreEOS: c.Bool("ignore-eos"), routing: c.Bool("routing")}
	if c.IsSet("max-tokens") && s.maxTokens < 1 {
		return s, badFlag("max-tokens", fmt.Errorf("%d, want 1 or more", s.maxTokens))
	}
	sampler, err := sample.ParseSampler(c.String("sampler"))
	if err != nil {
		return s, badFlag("sampler", err)
	}
	s.params = sample.Params{Temperature: c.Float64("temperature"), TopK: c.Int("top-k"), TopP: c.Float64("top-p"),
		MinP: c.Float64("min-p"), Seed: c.Uint64("seed"), Sampler: sampler}
	if err := s.params.Validate(); err != nil {
		return s, &usageError{err: err}
	}
	if _, err := sample.NewStop(s.stops); err != nil {
		return s, badFlag("stop", err)
	}
	s.policy, err = readExperts(c, config)
	return s, err
}

// readExperts reads --experts.
func readExperts(c *cli.Context, config model.Config) (router.Policy, error) {
	spec := c.String("experts")
	if !c.IsSet("experts") {
		return router.Uniform(config.Model.NumSelectedExperts), nil
	}
	policy, err := policyOf(c.Context, spec, config)
	if err != nil {
		return policy, &usageError{err: err}
	}
	return policy, nil
}

// policyOf reads a policy as it stands, or with @ before its name a file with one: parts on lines of their own, and
// comments from # on.
func policyOf(ctx context.Context, spec string, config model.Config) (router.Policy, error) {
	name, isFile := strings.CutPrefix(spec, "@")
	if !isFile {
		return parsePolicy(spec, config)
	}
	text, err := readAtMost(ctx, name, maxPolicyFile)
	if err != nil {
		return router.Policy{}, err
	}
	p, err := parsePolicy(partsOf(string(text)), config)
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// maxPolicyFile bounds the file of a policy.
const maxPolicyFile = 1 << 20

// partsOf joins the lines of a policy file.
func partsOf(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.Trim(strings.TrimSpace(line), ";"); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, ";")
}

func parsePolicy(spec string, config model.Config) (router.Policy, error) {
	return router.Parse(spec, expertSizes(config))
}

func expertSizes(config model.Config) router.Sizes {
	m := config.Model
	return router.Sizes{Layers: m.NumLayers, Experts: m.NumExperts, Selected: m.NumSelectedExperts}
}
