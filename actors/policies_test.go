package actors

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// Nine requests that each choose experts in another way share batches, and each has the bits of its run alone,
// however the model is cut and the batches are.
func TestPoliciesShareBatches(t *testing.T) {
	m := toy.Config()
	var requests []sched.Request
	for i, spec := range []string{"2", "top-p:0.7", "threshold:0.6+max:3;1:all", "2+mask:1,3", "1+force:4;0:2+replace:2>0,0>2",
		"all+replace:0>1,2>1,4>1", "random:2+seed:5", "round-robin:3+renormalise", "2+temperature:3+noise:0.7+seed:11"} {
		p, err := router.Parse(spec, router.Sizes{Layers: 3, Experts: 5, Selected: 2})
		if err != nil {
			t.Fatal(err)
		}
		r := sched.Request{Prompt: text(3, 9), Policy: p, EOS: -1, MaxTokens: 9, Params: sample.Params{Temperature: 0.9, TopP: 1, Seed: 3}}
		if i%3 == 2 {
			r.Mode, r.MaxTokens = sched.Logits, 0
		}
		requests = append(requests, r)
	}
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8} {
		w := toy.Weights(m, toy.Int8, 4)
		var want []outcome
		for _, r := range requests {
			e := start(t, plain.options(t, w, arith, "ref"))
			want = append(want, serve(t, e, []sched.Request{r})...)
		}
		differ := 0
		for i := range want {
			for j := range want[:i] {
				if fmt.Sprint(want[i]) != fmt.Sprint(want[j]) {
					differ++
				}
			}
		}
		if differ != 36 {
			t.Errorf("%v: %d of 36 pairs of policies differ in what they make", arith, differ)
		}
		for _, l := range append(sampleLayouts(rand.New(rand.NewPCG(8, 8)), share(12)), layout{stages: 3, devices: 2, threads: 2, spread: true, batches: 3, rows: 5, sequences: 8}) {
			t.Run(fmt.Sprintf("%v/%v", arith, l), func(t *testing.T) {
				compare(t, serve(t, start(t, l.options(t, w, arith, "ref")), requests), want)
			})
		}
		compare(t, serve(t, start(t, plain.options(t, w, arith, "cpu")), requests), want)
	}
}
