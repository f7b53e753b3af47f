package actors

import (
	"context"
	"slices"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/router"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// BenchmarkTelemetry is what counting the routing costs the demo model, on one device with one thread: two engines
// take turns with the same request, the one that counts first in every second turn. On-% is the median of the
// turns' ratios of the times, less 1; the goal is 1 at most. Take some hundred turns: -benchtime 200x.
func BenchmarkTelemetry(b *testing.B) {
	m := openDemo(b)
	r := rig{m.Config, m.Weights, kernels.Int8, "cpu", 0}
	long := make([]int32, 256)
	for i := range long {
		long[i] = int32(3 + i%900)
	}
	for name, q := range map[string]sched.Request{
		"decode":  r.request(64),
		"prefill": {Prompt: long, MaxTokens: 1, Params: sample.Params{TopP: 1}, Policy: router.Uniform(m.Config.Model.NumSelectedExperts), EOS: -1},
	} {
		b.Run(name, func(b *testing.B) {
			engines := [2]*Engine{} // off, on
			for i := range engines {
				o := plain.options(b, r.weights, r.arith, r.library)
				o.Model, o.Placement = r.config, plain.placement(r.config.Model.NumLayers, r.config.Model.NumExperts)
				o.Sched.Rows, o.Sched.Blocks, o.NoTelemetry = 128, r.config.SequenceLen/kernels.BlockTokens, i == 0
				e, err := Start(context.Background(), o)
				if err != nil {
					b.Fatal(err)
				}
				defer stop(e)
				engines[i] = e
				serve(b, e, []sched.Request{q})
			}
			var ratios []float64
			turn := 0
			for b.Loop() {
				var took [2]time.Duration
				for i := range engines {
					i = (i + turn) % 2
					begin := time.Now()
					if out := serve(b, engines[i], []sched.Request{q}); len(out[0].tokens) != q.MaxTokens {
						b.Fatalf("%d tokens: %v", len(out[0].tokens), out[0].err)
					}
					took[i] = time.Since(begin)
				}
				ratios = append(ratios, float64(took[1])/float64(took[0]))
				turn++
			}
			slices.Sort(ratios)
			b.ReportMetric(100*(ratios[len(ratios)/2]-1), "on-%")
		})
	}
}
