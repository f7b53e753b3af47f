package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab/saliency"
	"troupe/router"
)

func (p *program) calibrateCommand() *cli.Command {
	return &cli.Command{
		Name: "calibrate", Usage: "when tokens may skip an expert",
		Description: `Dynamic skipping, as NAEE has it (arXiv 2402.14800): the last of a token's
experts is left out where its gate is less than a share of the first one's. The
share is, by layer, a quantile of what it is in a text: with the median about
half of the tokens use one expert less.

The policy is written as --experts @FILE reads it. Held-out documents, every
other one of --text if no file is named, show what it costs.

troupe experts calibrate --out skip.txt
troupe experts calibrate --text heldout.jsonl --quantile 0.25
troupe run --experts @skip.txt "Once upon a time"`,
		Flags: experimentFlags(
			&cli.Float64Flag{Name: "quantile", Value: 0.5, Usage: "`SHARE` of the tokens that use one expert less, about"},
			policyOutFlag(),
			jsonFlag("print one JSON object instead of tables"),
		),
		Action: p.calibrate,
	}
}

func policyOutFlag() cli.Flag {
	return &cli.StringFlag{Name: "out", Usage: "`FILE` for the policy", DefaultText: "it is printed below the tables", TakesFile: true}
}

// calibration is the result as JSON; its names are a promise.
type calibration struct {
	Policy     string           `json:"policy"`
	Quantile   float64          `json:"quantile"`
	Layers     []layerThreshold `json:"layers"`
	Default    figures          `json:"default"` // held out, the model's own policy
	Calibrated figures          `json:"calibrated"`
}

type layerThreshold struct {
	Threshold float64 `json:"threshold"`
	Below     float64 `json:"below"` // share of the calibration tokens
}

func (p *program) calibrate(c *cli.Context) (err error) {
	q := c.Float64("quantile")
	if !(q >= 0 && q <= 1) {
		return badFlag("quantile", fmt.Errorf("%v, want 0 to 1", q))
	}
	x, err := p.newExperiment(c)
	if err != nil {
		return err
	}
	ratios, err := saliency.NewRatios(x.sizes)
	if err != nil {
		return err
	}
	if err := x.start(c.Context, false); err != nil {
		return err
	}
	defer closeInto(&err, x.Close)
	if err := x.observe(c.Context, "observing", ratios.Take); err != nil {
		return err
	}
	policy := ratios.Policy(q)
	judged, err := x.judge(c.Context, "judging", x.texts.heldOut, []router.Policy{x.usual, policy}, false)
	if err != nil {
		return err
	}
	r := calibration{Policy: policy.String(), Quantile: q,
		Default:    x.figures(x.usual, sumOf(x.texts.heldOut, judged[0], "")),
		Calibrated: x.figures(policy, sumOf(x.texts.heldOut, judged[1], ""))}
	for l := range x.sizes.Layers {
		_, below := ratios.Quantile(l, q)
		r.Layers = append(r.Layers, layerThreshold{policy.Rule(l).Share, below})
	}
	if err := x.writePolicy(c, policy, r.comment(x)); err != nil {
		return err
	}
	if c.Bool("json") {
		return writeJSON(p.out, r)
	}
	return x.printCalibration(c, r)
}

// comment says how the policy came about.
func (r *calibration) comment(x *experiment) []string {
	return []string{
		fmt.Sprintf("thresholds for dynamic skipping: quantile %v of the gates' ratio over %s tokens", r.Quantile, thousands(int64(tokensOf(x.texts.calibration)))),
		fmt.Sprintf("held out, %s tokens: %.3f experts a token and layer, perplexity %.4f; with %s: %.4f",
			thousands(int64(r.Default.Tokens)), r.Calibrated.ExpertsPerToken, r.Calibrated.Perplexity, r.Default.Experts, r.Default.Perplexity),
	}
}

func (x *experiment) printCalibration(c *cli.Context, r calibration) error {
	var rows [][]string
	for l, t := range r.Layers {
		rows = append(rows, []string{fmt.Sprint(l), fmt.Sprintf("%.4f", t.Threshold), fmt.Sprintf("%.1f", 100*t.Below)})
	}
	var b strings.Builder
	b.WriteString(x.tableOf([]string{"Layer", "Threshold", "Tokens below, %"}, rows, 0, 1, 2))
	b.WriteString("\n")
	rows = nil
	for i, f := range []figures{r.Default, r.Calibrated} {
		rows = append(rows, []string{[]string{"default", "calibrated"}[i], fmt.Sprintf("%.3f", f.ExpertsPerToken), fmt.Sprintf("%.4f", f.Loss),
			fmt.Sprintf("%.4f", f.Perplexity), change(f.Perplexity, r.Default.Perplexity)})
	}
	b.WriteString(x.tableOf([]string{"Held out", "Experts/token", "Loss", "Perplexity", "Change"}, rows, 1, 2, 3, 4))
	if c.String("out") == "" {
		fmt.Fprintf(&b, "\n%s\n", r.Policy)
	}
	_, err := io.WriteString(x.out, b.String())
	return err
}

// writePolicy writes the file of --out, if it is given: comments, then a part a line.
func (x *experiment) writePolicy(c *cli.Context, policy router.Policy, comments []string) error {
	name := c.String("out")
	if name == "" {
		return nil
	}
	var b strings.Builder
	for _, line := range append([]string{"troupe experts " + c.Command.Name + ", model " + x.launch.dir.name + ", arithmetic " + x.launch.arith.String()}, comments...) {
		b.WriteString("# " + strings.Join(strings.Fields(line), " ") + "\n")
	}
	for part := range strings.SplitSeq(policy.String(), ";") {
		b.WriteString(part + "\n")
	}
	f, err := createFile(name)
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	if err := f.finish(err); err != nil {
		return err
	}
	x.notice("%s: the policy; use it with --experts @%s", name, name)
	return nil
}
