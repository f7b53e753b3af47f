package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/stages/place"
)

// witness remembers what a run has made. A nil witness does not.
type witness struct {
	mu      sync.Mutex
	results map[int]result // by number of the job
}

func (w *witness) saw(j job, r result) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.results == nil {
		w.results = map[int]result{}
	}
	w.results[j.number] = r
}

// undisturbed runs the requests of a run again, all in this process and with nothing done to it, and says how those
// that have ended differ; "" where they are identical.
func (p *program) undisturbed(c *cli.Context, l launch, g *generator, jobs []job) (differs string, err error) {
	devices, err := withThreads(c, []place.Device{{Name: "cpu"}})
	if err != nil {
		return "", err
	}
	l.chaos, l.workers, l.need, l.trace, l.kernels.control, l.kernels.swaps = nil, nil, nil, "", "", nil
	l.placement = placed{}
	if l.placement.Plan, err = place.Make(l.config, devices, place.Options{}); err != nil {
		return "", err
	}
	s, err := p.start(c.Context, l)
	if err != nil {
		return "", err
	}
	defer closeInto(&err, s.Close)
	clean := &generator{engine: s.fleet, tokenizer: g.tokenizer, config: g.config, padSizes: g.padSizes}
	all := make([]string, len(jobs))
	err = inParallel(len(jobs), l.concurrency(), func(i int) {
		j := jobs[i]
		j.past, j.request.Made = nil, nil
		was, ran := g.witness.results[j.number]
		if !ran || was.Finish == finishCancelled {
			return
		}
		r, err := clean.run(c.Context, j, func(piece) error { return nil })
		at := 0
		for at < min(len(r.Tokens), len(was.Tokens)) && r.Tokens[at] == was.Tokens[at] {
			at++
		}
		switch {
		case err != nil:
			all[i] = fmt.Sprintf("request %d: %v", i, err)
		case at < max(len(r.Tokens), len(was.Tokens)) || r.Finish != was.Finish:
			all[i] = fmt.Sprintf("request %d differs from its token %d on: %d tokens (%s), undisturbed %d (%s)", i, at, len(was.Tokens), was.Finish, len(r.Tokens), r.Finish)
		}
	})
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	if err == nil && len(all) > 0 {
		differs = all[0]
		if len(all) > 1 {
			differs += fmt.Sprintf("; and %d more", len(all)-1)
		}
	}
	return differs, err
}
