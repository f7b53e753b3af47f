package stages_test

import (
	"slices"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// spy notes what runs.
type spy struct {
	ops  []kernels.Op
	rows []int
}

func (s *spy) wrap(op kernels.Op, k kernels.Kernel) kernels.Kernel {
	return spied{s, op, k}
}

type spied struct {
	*spy
	op kernels.Op
	kernels.Kernel
}

// Run notes, and runs the kernel.
func (s spied) Run(f *kernels.Frame) error {
	s.ops, s.rows = append(s.ops, s.op), append(s.rows, f.Rows.N)
	return s.Kernel.Run(f)
}

// TestWrap: each op is a kernel of its own that tells the rows of the batch, those of experts too.
func TestWrap(t *testing.T) {
	c := toy.Config()
	plan, weights := model.NewPlan(c), toy.Weights(c, toy.Int8, 1)
	var seen spy
	libs := stages.OpenLibraries(kernels.Int8, kernels.Binding{}, kernels.SameThreads(1))
	libs.Wrap = seen.wrap
	defer libs.Close()
	stage, err := stages.NewStage(c, plan, stages.Span{Lo: 0, Hi: 1}, weights, libs, stages.CacheSize{Blocks: 1, Half: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	experts := stages.NewExperts(plan)
	for e := range c.Model.NumExperts {
		if err := experts.Add(0, e, weights, libs); err != nil {
			t.Fatal(err)
		}
	}
	const rows = 7
	b, err := stages.NewBatch(plan, stages.Limits{Rows: rows, Draws: 1, Sequences: 1, Experts: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Reset(1, 0)
	b.AddSequence([]int32{0}, nil, router.Uniform(2))
	for i := range rows {
		b.AddRow(0, stages.Row{Token: int32(i), Pos: int32(i), Prompt: true})
	}
	b.Seal()
	if _, _, err := stage.Advance(b); err != nil {
		t.Fatal(err)
	}
	groups, err := b.Route(plan.Probs, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := experts.Run(b, 0, int(groups[0].Expert), stages.WorkOf(groups[0])); err != nil {
		t.Fatal(err)
	}
	want := []kernels.Op{kernels.Embed}
	for _, s := range plan.Before(0) {
		want = append(want, s.Op)
	}
	if want = append(want, kernels.Expert); !slices.Equal(seen.ops, want) {
		t.Errorf("ops %v, want %v", seen.ops, want)
	}
	for i, n := range seen.rows {
		if n != rows {
			t.Errorf("%v sees %d rows, want %d", seen.ops[i], n, rows)
		}
	}
}
