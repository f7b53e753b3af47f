package stages_test

import (
	"slices"
	"testing"

	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
)

// Experts that are only looked at leave every bit of the logits as it is.
func TestObservedChangesNothing(t *testing.T) {
	w := newWhole(t, "ref", kernels.Exact)
	logits := func(p router.Policy) []float32 {
		b := w.batch
		b.Reset(1, 0)
		b.AddSequence([]int32{2, 1}, nil, p)
		addPrompt(b)
		got, err := w.forward()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, spec := range []string{"2", "top-p:0.6", "1+mask:0"} {
		p, err := router.Parse(spec, router.Sizes{Layers: 3, Experts: 5, Selected: 2})
		if err != nil {
			t.Fatal(err)
		}
		if !sameBits(logits(p), logits(p.Observed())) {
			t.Errorf("%s: logits differ where all experts compute", spec)
		}
	}
}

// Padding before a prompt does not move the places by which random experts are drawn.
func TestPlacesBehindPadding(t *testing.T) {
	w := newWhole(t, "ref", kernels.Exact)
	p := router.Of(router.Rule{How: router.Random, Count: 1, Seed: 3})
	experts := func(pads int32) []int32 {
		b := w.batch
		b.Reset(1, 0)
		b.AddSequence([]int32{2, 1}, nil, p)
		for i := range pads + 12 {
			row := stages.Row{Token: 5, Pos: i, First: pads, Prompt: true}
			if i < pads {
				row.Keyless = pads + 12
			}
			b.AddRow(0, row)
		}
		b.AddDraw(stages.Draw{Kind: stages.Logits})
		if _, err := w.forward(); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(b.Routing.Expert[pads:]) // of the last layer
	}
	if got, want := experts(3), experts(0); !slices.Equal(got, want) {
		t.Errorf("experts %v behind 3 pads, want %v", got, want)
	}
}
