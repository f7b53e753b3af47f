package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/lab"
	"troupe/lab/observe"
	"troupe/router"
	"troupe/stages/sched"
	"troupe/surgery"
)

// experiment learns something about a model's experts from some documents and judges it by others.
type experiment struct {
	*program
	launch   launch
	sizes    router.Sizes
	usual    router.Policy // the model's own
	texts    samples
	observer *observe.Observer
	session  *session
}

// experimentFlags are those of every command that learns from texts.
func experimentFlags(own ...cli.Flag) []cli.Flag {
	return append(append(own, sampleFlags()...), engineFlags()...)
}

// newExperiment reads the flags, and the texts.
func (p *program) newExperiment(c *cli.Context) (*experiment, error) {
	l, err := p.readLaunch(c)
	if err != nil {
		return nil, err
	}
	x := &experiment{program: p, launch: l, sizes: surgery.SizesOf(l.config)}
	x.usual = router.Uniform(x.sizes.Selected)
	if x.texts, err = readSamples(c, l); err != nil {
		return nil, err
	}
	x.observer = observe.New(l.config)
	x.launch.look = x.observer.Look
	return x, nil
}

// start starts the engine, with room for what judge hands in; compare tells that distributions are compared.
func (x *experiment) start(ctx context.Context, compare bool) (err error) {
	var requests []sched.Request
	for _, list := range [][]lab.Document{x.texts.calibration, x.texts.heldOut} {
		for _, d := range list {
			if d.Judged() > 0 {
				requests = append(requests, lab.Requests(d, []router.Policy{x.usual}, compare)...)
			}
		}
	}
	if len(requests) == 0 {
		return usagef("--text: no document of two tokens or more")
	}
	x.launch.limit(requests, true)
	x.session, err = x.program.start(ctx, x.launch)
	return err
}

// Close stops the engine, if it has been started.
func (x *experiment) Close() error {
	if x.session == nil {
		return nil
	}
	s := x.session
	x.session = nil
	return s.Close()
}

// observe has take see the calibration documents.
func (x *experiment) observe(ctx context.Context, what string, take observe.Take) error {
	ids := make([][]int32, len(x.texts.calibration))
	total := int64(0)
	for i, d := range x.texts.calibration {
		ids[i] = d.IDs
		total += int64(d.Judged())
	}
	report, end := x.progress(what, inTokens)
	defer end()
	return x.observer.Run(ctx, x.session.Engine, x.usual, ids, take, func(done int64) { report(done, total) })
}

// judge gives the quality of every policy by document, [policies][documents]; with compare in contrast to the model's
// own policy.
func (x *experiment) judge(ctx context.Context, what string, documents []lab.Document, policies []router.Policy, compare bool) ([][]lab.Quality, error) {
	got := make([][]lab.Quality, len(policies))
	total := int64(0)
	for p := range got {
		got[p] = make([]lab.Quality, len(documents))
		for _, d := range documents {
			total += int64(d.Judged())
		}
	}
	report, end := x.progress(what, inTokens)
	defer end()
	done := int64(0)
	j := lab.Judge{Engine: x.session.Engine, Model: x.launch.config, Requests: x.launch.concurrency(), Compare: compare, Base: x.usual,
		Progress: func(n int) { done += int64(n); report(done, total) }}
	var mu sync.Mutex
	err := j.Run(ctx, documents, policies, nil, func(u lab.Unit) error {
		mu.Lock()
		defer mu.Unlock()
		got[u.Policy][u.Document] = u.Quality
		return nil
	})
	return got, err
}

// sumOf adds up the documents of a domain; "" takes all.
func sumOf(documents []lab.Document, list []lab.Quality, domain string) (q lab.Quality) {
	for i, d := range documents {
		if domain == "" || d.Domain == domain {
			q.Add(list[i])
		}
	}
	return q
}

// figures are a quality as JSON has it; the names are a promise.
type figures struct {
	Experts string `json:"experts"` // the policy
	// ExpertsPerToken is the mean of a layer.
	ExpertsPerToken float64 `json:"experts_per_token"`
	Loss            float64 `json:"loss"` // nats a token
	Perplexity      float64 `json:"perplexity"`
	KL              float64 `json:"kl,omitempty"`             // nats a token, from the model's own policy
	Agreement       float64 `json:"top1_agreement,omitempty"` // with the model's own policy
	Tokens          int     `json:"tokens"`
}

func (x *experiment) figures(policy router.Policy, q lab.Quality) figures {
	return figures{Experts: policy.String(), ExpertsPerToken: q.ExpertsPerToken() / float64(x.sizes.Layers), Loss: q.MeanLoss(),
		Perplexity: q.Perplexity(), KL: q.MeanKL(), Agreement: q.Agreement(), Tokens: q.Tokens}
}

// change is a perplexity compared with another one, in per cent.
func change(now, before float64) string { return fmt.Sprintf("%+.2f %%", 100*(now/before-1)) }
