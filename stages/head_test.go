package stages_test

import (
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// recorder is kernels/ref, and notes the weights of the head.
type recorder struct{ kernels.Library }

var headOf = map[kernels.Arith]*kernels.Weight{}

func (r recorder) Compile(s kernels.Segment) (kernels.Kernel, error) {
	for _, c := range s.Calls {
		if c.Op == kernels.Head {
			headOf[s.Arith] = c.Weights[0]
		}
	}
	return r.Library.Compile(s)
}

var _ = kernels.Register(kernels.Variant{
	Name: "recorder", Doc: "ref that notes the head, for tests", Score: func() int { return 1 },
	Open: func(t kernels.Threads) (kernels.Library, error) {
		ref, err := kernels.Find("ref")
		if err != nil {
			return nil, err
		}
		inner, err := ref.Open(t)
		return recorder{inner}, err
	},
})

// Int8 has the last stage make an int8 head of the embedding, of the size that plans count; the other
// arithmetics, and the embedding itself, have it as it is stored.
func TestHeadOfArithmetics(t *testing.T) {
	c := toy.Config()
	weights := toy.Weights(c, toy.Int8, 1)
	embedding := weights[model.Embedding][0]
	bound, err := kernels.ParseBinding("recorder")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
		libs := stages.OpenLibraries(a, bound, kernels.SameThreads(1))
		s, err := stages.NewStage(c, model.NewPlan(c), stages.Span{Hi: c.Model.NumLayers}, weights, libs, stages.CacheSize{Blocks: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		head, bytes := headOf[a], stages.HeadBytes(c, a)
		switch {
		case a != kernels.Int8:
			if head != embedding || bytes != 0 {
				t.Errorf("%v: head %v, %d bytes of its own, want the embedding", a, head.Name, bytes)
			}
		case !head.Quantised() || !head.Panels || int64(len(head.Q)+4*len(head.Scales)) != bytes || head.In != embedding.In || head.Out != embedding.Out:
			t.Errorf("%v: a head of %d and %d values, want int8 panels of %d bytes", a, len(head.Q), len(head.F), bytes)
		default:
			for o := range head.Out {
				for k := range head.In {
					scale := head.Scales[k/(head.In/head.Groups)*head.Out+o]
					if d := float32(head.At(k, o))*scale - embedding.F[o*embedding.In+k]; d > 0.5001*scale || d < -0.5001*scale {
						t.Fatalf("output %d, input %d: off by %v, steps of %v", o, k, d, scale)
					}
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := libs.Close(); err != nil {
			t.Error(err)
		}
	}
}
