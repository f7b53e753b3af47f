package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"troupe/actors"
	"troupe/stages/sched"
)

// patience is how long, in virtual time, a request may take: what takes longer will never end.
const patience = 10 * time.Minute

// answer is what became of a request.
type answer struct {
	asked
	cancelled bool
	tokens    []int32
	finish    sched.Finish
	err       error
}

// run is one simulated run: requests at random times to a random company with random failures, also of hosts and links.
func run(t *testing.T, seed uint64, log *slog.Logger, hosts bool) (answers []answer, harm, trace []string) {
	c := newCompany(t, seed, log)
	defer c.close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if c.engine, err = actors.Start(ctx, c.options); err != nil {
		t.Fatal(err)
	}
	var busy sync.WaitGroup
	if hosts {
		harm = c.harm(300*time.Millisecond, &busy)
	}
	answers = c.serve(ctx, requests(t))
	busy.Wait()
	c.quiet(answers)
	return answers, harm, c.trace
}

// serve submits requests and collects their streams.
func (c *company) serve(ctx context.Context, all []asked) []answer {
	answers := make([]answer, 1+c.rng.IntN(8))
	var clients sync.WaitGroup
	for i := range answers {
		a := &answers[i]
		a.asked = all[c.rng.IntN(len(all))]
		at, until := micros(c.rng, 0, 200_000), time.Duration(0)
		if c.rng.IntN(5) == 0 {
			a.cancelled, until = true, micros(c.rng, 1, 100_000)
		}
		clients.Go(func() {
			time.Sleep(at)
			mine, stop := context.WithCancel(ctx)
			defer stop()
			if until > 0 {
				context.AfterFunc(ctx, stop)
				timer := time.AfterFunc(until, stop)
				defer timer.Stop()
			}
			a.ask(mine, c.engine)
		})
	}
	clients.Wait()
	return answers
}

// ask submits, again and again while the house is full.
func (a *answer) ask(ctx context.Context, e *actors.Engine) {
	s, err := e.Submit(ctx, a.request)
	for errors.Is(err, sched.ErrFull) {
		time.Sleep(time.Millisecond)
		s, err = e.Submit(ctx, a.request)
	}
	if err != nil {
		if a.err = err; errors.Is(err, context.Canceled) {
			a.finish, a.err = sched.Cancelled, nil
		}
		return
	}
	for e := range s.Events() {
		if e.Done {
			a.finish, a.err = e.Finish, e.Err
			return
		}
		a.tokens = append(a.tokens, e.Token)
	}
}

// check compares an answer with that of the plain loop.
func (a *answer) check() error {
	want := a.want
	if a.finish == sched.Cancelled && a.cancelled {
		want = want[:min(len(want), len(a.tokens))]
	} else if a.finish != sched.Length || a.err != nil {
		return fmt.Errorf("finish %q after %d of %d tokens (%w), want %q", a.finish, len(a.tokens), len(want), a.err, sched.Length)
	}
	if !slices.Equal(a.tokens, want) {
		return fmt.Errorf("tokens %v, the plain loop has %v", a.tokens, want)
	}
	return nil
}

// quiet checks that everything has come home: batches, cache blocks, and tokens that were counted.
func (c *company) quiet(answers []answer) {
	s, err := c.engine.Stats(c.t.Context())
	for end := time.Now().Add(patience); err == nil && s.Sched.InFlight > 0 && time.Now().Before(end); s, err = c.engine.Stats(c.t.Context()) {
		time.Sleep(time.Millisecond) // of cancelled requests
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	tokens := 0
	for i := range answers {
		tokens += len(answers[i].tokens)
	}
	if x := s.Sched; x.InFlight != 0 || x.Waiting != 0 || x.Running != 0 || x.Cache.Lent != 0 || x.Tokens != uint64(tokens) || s.Losses.GivenUp != 0 {
		c.t.Errorf("at the end: %+v, given up %d: want nothing on its way, and %d tokens", x, s.Losses.GivenUp, tokens)
	}
}

// seeds are how many runs: TROUPE_SEEDS, or so many as take a few seconds. TROUPE_SEED=N runs that one alone, with its log.
func seeds(t *testing.T, few int) (from, to uint64) {
	t.Helper()
	number := func(name string) (uint64, bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			t.Fatalf("%s=%s: want a number", name, text)
		}
		return n, true
	}
	if n, ok := number("TROUPE_SEED"); ok {
		return n, n + 1
	}
	if n, ok := number("TROUPE_SEEDS"); ok {
		return 0, n
	}
	return 0, uint64(few)
}

// Whatever the company, the requests and what goes wrong: every request ends, with the tokens of the plain loop, and
// everything comes home.
func TestSeeds(t *testing.T) {
	requests(t)
	from, to := seeds(t, 300)
	log := slog.New(slog.DiscardHandler)
	if to == from+1 {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var failed []uint64
	for seed := from; seed < to; seed++ {
		ok := t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers, harm, _ := run(t, seed, log, true)
				for i := range answers {
					if err := answers[i].check(); err != nil {
						t.Errorf("request %d: %v", i, err)
					}
				}
				if t.Failed() {
					t.Logf("what was done: %q\nagain: TROUPE_SEED=%d go test ./sim -run TestSeeds", harm, seed)
				}
			})
		})
		if !ok {
			failed = append(failed, seed)
		}
	}
	if failed != nil {
		t.Logf("failed seeds: %v", failed)
	}
}

// A seed repeats itself: who computes what, and when, to the nanosecond. One in ten need not: where goroutines of the engine
// wake at the same time, the runtime chooses who comes first.
func TestSeedsRepeatThemselves(t *testing.T) {
	requests(t)
	_, few := seeds(t, 20)
	var differ []uint64
	for seed := range few {
		var traces [2][]string
		for i := range traces {
			synctest.Test(t, func(t *testing.T) { _, _, traces[i] = run(t, seed, slog.New(slog.DiscardHandler), false) })
		}
		if len(traces[0]) == 0 {
			t.Fatalf("seed %d: nothing is charged for", seed)
		}
		if !slices.Equal(traces[0], traces[1]) {
			differ = append(differ, seed)
		}
	}
	if len(differ)*10 > int(few) {
		t.Errorf("seeds %v of %d do not repeat themselves", differ, few)
	}
}
