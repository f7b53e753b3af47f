package sweep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"troupe/actors"
	"troupe/router"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// Trial is how speed is measured: some streams at a time, each with a prompt out of the texts, go on with it. Policies
// take turns, so that what slows the machine down for a while meets all of them.
type Trial struct {
	Streams     int
	Prompt      int // tokens of each
	Generate    int // new tokens of each
	Repetitions int // 0: speed is not measured
}

func (t Trial) String() string {
	return fmt.Sprintf("%d streams, prompts of %d tokens, %d new ones, %d times", t.Streams, t.Prompt, t.Generate, t.Repetitions)
}

func (t Trial) tokens() int64 { return int64(t.Streams) * int64(t.Prompt+t.Generate) }

func (t Trial) check(sequenceLen int) error {
	switch {
	case t.Repetitions == 0:
		return nil
	case t.Repetitions < 0 || t.Streams < 1 || t.Prompt < 1 || t.Generate < 2:
		return fmt.Errorf("sweep: a trial of %v: want 1 or more of each, and 2 new tokens", t)
	case t.Prompt+t.Generate > sequenceLen:
		return fmt.Errorf("sweep: %d tokens of a prompt and %d new ones, want at most the context of %d together", t.Prompt, t.Generate, sequenceLen)
	}
	return nil
}

// setPrompts cuts the prompts out of the documents, one after the other from evenly spread ones on.
func (s *Sweep) setPrompts() error {
	t := s.Trial
	if err := t.check(s.Model.SequenceLen); err != nil || t.Repetitions == 0 {
		return err
	}
	n := len(s.Documents)
	for i := range t.Streams {
		var ids []int32
		for at := i * n / t.Streams; len(ids) < t.Prompt; at++ {
			ids = append(ids, s.Documents[at%n].IDs...)
		}
		s.prompts = append(s.prompts, ids[:t.Prompt:t.Prompt])
	}
	return nil
}

// Requests are those of a trial under a policy, continued greedily and past EOS.
func (s *Sweep) requests(p router.Policy) []sched.Request {
	list := make([]sched.Request, len(s.prompts))
	for i, prompt := range s.prompts {
		list[i] = sched.Request{Prompt: prompt, MaxTokens: s.Trial.Generate, Params: sample.Params{TopP: 1}, Policy: p, EOS: -1}
	}
	return list
}

// speed is tokens a second; 0: too few to tell.
type speed struct{ prefill, decode float64 }

// trials runs those that are missing, behind one that warms up.
func (s *Sweep) trials(ctx context.Context, e *actors.Engine, work *progress, add func(Measurement) error) error {
	warm := false
	for r := range s.Trial.Repetitions {
		for i := range s.Policies {
			p := (i + r) % len(s.Policies) // none is always behind the same one
			if s.speeds[p][r] != nil {
				continue
			}
			if !warm {
				warm = true
				if _, err := s.trial(ctx, e, s.Default); err != nil {
					return err
				}
			}
			v := s.first(p)
			got, err := s.trial(ctx, e, v)
			if err != nil {
				return err
			}
			if err := add(Measurement{Policy: v.String(), Repetition: &r, Prefill: got.prefill, Decode: got.decode}); err != nil {
				return err
			}
			s.speeds[p][r] = &got
			work.add(int(s.Trial.tokens()))
		}
	}
	return nil
}

// first is a policy with its first seed.
func (s *Sweep) first(policy int) router.Policy {
	for _, v := range s.variants {
		if v.policy == policy {
			return v.Policy
		}
	}
	panic("BUG: a policy without variants")
}

// trial measures once.
func (s *Sweep) trial(ctx context.Context, e *actors.Engine, p router.Policy) (speed, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := s.requests(p)
	times := make([][]time.Time, len(requests)) // of the new tokens
	var wg sync.WaitGroup
	begin := time.Now()
	for i, r := range requests {
		wg.Go(func() {
			var err error
			if times[i], err = arrivals(ctx, e, r); err != nil {
				cancel(fmt.Errorf("sweep: experts %v: %w", p, err)) // the first counts
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return speed{}, err
	}
	return speedOf(begin, times, s.Trial.Prompt), nil
}

// arrivals runs a request and says when its tokens came.
func arrivals(ctx context.Context, e *actors.Engine, r sched.Request) ([]time.Time, error) {
	times := make([]time.Time, 0, r.MaxTokens)
	stream, err := e.Submit(ctx, r)
	if err != nil {
		return nil, err
	}
	for event := range stream.Events() {
		switch {
		case !event.Done:
			times = append(times, time.Now())
		case event.Finish == sched.Cancelled:
			return nil, context.Cause(ctx)
		case event.Err != nil:
			return nil, event.Err
		}
	}
	if len(times) != r.MaxTokens {
		return nil, errors.New("BUG: a generation ended early")
	}
	return times, nil
}

// speedOf: prefill is all prompts by the time until each stream has its first token; decode is the tokens that came
// while all streams went on, from then until the first has its last. Where one was over before another began, decode is all
// tokens but the first of each stream, by the time from the first token to the last.
func speedOf(begin time.Time, times [][]time.Time, prompt int) (v speed) {
	early, late := times[0][0], times[0][0]                           // first tokens
	end, last := times[0][len(times[0])-1], times[0][len(times[0])-1] // last tokens
	for _, t := range times {
		first, final := t[0], t[len(t)-1]
		early, late = earlier(early, first), later(late, first)
		end, last = earlier(end, final), later(last, final)
	}
	v.prefill = rate(prompt*len(times), late.Sub(begin))
	n, all := 0, 0
	for _, t := range times {
		all += len(t) - 1
		for _, at := range t {
			if at.After(late) && !at.After(end) {
				n++
			}
		}
	}
	if v.decode = rate(n, end.Sub(late)); v.decode == 0 {
		v.decode = rate(all, last.Sub(early))
	}
	return v
}

// rate is so many in a second; 0 without a time.
func rate(n int, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
