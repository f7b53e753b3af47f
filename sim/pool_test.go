package sim

import (
	"math/rand/v2"
	"sync"
	"testing"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// asked is a request with the tokens that the plain loop gives.
type asked struct {
	request sched.Request
	want    []int32
}

var toyWeights = sync.OnceValue(func() stages.Weights { return toy.Weights(toy.Config(), toy.Int8, 1) })

func refBinding() kernels.Binding {
	b, err := kernels.ParseBinding("ref")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// pool is requests of many kinds, answered by the plain loop.
var pool = sync.OnceValues(func() (list []asked, err error) {
	c := toy.Config()
	l, err := solo.New(solo.Options{Config: c, Weights: toyWeights(), Arith: kernels.Int8, Binding: refBinding(), Threads: 1})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	rng := rand.New(rand.NewPCG(12, 8))
	sizes := router.Sizes{Layers: c.Model.NumLayers, Experts: c.Model.NumExperts, Selected: c.Model.NumSelectedExperts}
	for range 64 {
		prompt := make([]int32, 1+rng.IntN(30))
		for i := range prompt {
			prompt[i] = int32(3 + rng.IntN(60))
		}
		p := sample.Params{TopP: 1}
		if rng.IntN(2) == 0 {
			p = sample.Params{Temperature: 0.9, TopP: 0.95, Seed: rng.Uint64()}
		}
		text := []string{"2", "1", "5", "0:1,1:5,2:3"}[rng.IntN(4)]
		policy, err := router.Parse(text, sizes)
		if err != nil {
			return nil, err
		}
		a := asked{request: sched.Request{Prompt: prompt, MaxTokens: 1 + rng.IntN(12), Params: p, Policy: policy, EOS: -1}}
		l.Policy = policy
		if err := l.Generate(prompt, a.request.MaxTokens, p, func(d stages.Drawn) { a.want = append(a.want, d.Token) }); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
})

func requests(t *testing.T) []asked {
	t.Helper()
	list, err := pool()
	if err != nil {
		t.Fatal(err)
	}
	return list
}
