package actors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
)

// shuffler runs the turns of all lanes on one goroutine, the next one picked at random: with one message
// a turn, any order of messages that separate threads could produce, repeated by its seed.
type shuffler struct {
	mu      sync.Mutex
	changed sync.Cond
	rng     *rand.Rand
	turns   []func()
	held    bool
	lanes   int
	done    chan struct{}
}

func newShuffler(seed uint64) *shuffler {
	s := &shuffler{rng: rand.New(rand.NewPCG(seed, 0)), done: make(chan struct{})}
	s.changed.L = &s.mu
	go s.run()
	return s
}

func (s *shuffler) run() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for s.held || len(s.turns) == 0 {
			if s.lanes < 0 {
				s.mu.Unlock()
				return
			}
			s.changed.Wait()
		}
		i, last := s.rng.IntN(len(s.turns)), len(s.turns)-1
		turn := s.turns[i]
		s.turns[i], s.turns = s.turns[last], s.turns[:last]
		s.mu.Unlock()
		turn()
	}
}

// hold keeps turns queued until it is called with false.
func (s *shuffler) hold(yes bool) {
	s.mu.Lock()
	s.held = yes
	s.mu.Unlock()
	s.changed.Signal()
}

// lane is a handle on the shuffler for one device.
func (s *shuffler) lane() runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes++
	return shuffledLane{s}
}

type shuffledLane struct{ *shuffler }

func (s shuffledLane) Throughput() int { return math.MaxInt }

func (s shuffledLane) busy() time.Duration { return 0 }

func (s shuffledLane) Schedule(turn func()) {
	s.mu.Lock()
	s.turns = append(s.turns, turn)
	s.mu.Unlock()
	s.changed.Signal()
}

func (s shuffledLane) do(f func()) {
	done := make(chan struct{})
	s.Schedule(func() { f(); close(done) })
	<-done
}

// stop ends the goroutine when the last lane has stopped.
func (s shuffledLane) stop() {
	s.mu.Lock()
	if s.lanes--; s.lanes == 0 {
		s.lanes = -1
	}
	over := s.lanes < 0
	s.mu.Unlock()
	s.changed.Signal()
	if over {
		<-s.done
	}
}

// Whatever the order of messages, the tokens are the same, also when one of the requests is cancelled on
// the way, when libraries are swapped meanwhile, and when parts die. A failure is a seed.
func TestSameBitsWhateverTheOrderOfMessages(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	all := loopOutcomes(t, w, kernels.Int8)
	for seed := range uint64(share(60)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			l := layout{stages: 1 + int(seed%3), devices: 2, threads: 1, spread: true, batches: 3, rows: 5, sequences: 6}
			s := newShuffler(seed)
			o := l.options(t, w, kernels.Int8, "ref")
			o.newLane = func(int) runner { return s.lane() }
			if seed%3 > 0 {
				o.Chaos = &Chaos{Seed: seed, Rate: 0.15}
				o.NoJournal = seed%5 == 0
			}
			e := start(t, o)
			cancelled := -1
			if seed%2 == 1 {
				cancelled = int(seed/2) % len(all)
			}
			var got, want []outcome
			streams := submitTogether(t, e, s, cancelled)
			swaps := swapMeanwhile(t, e, seed)
			for i, stream := range streams {
				if o := collect(stream); i != cancelled {
					got, want = append(got, o), append(want, all[i])
				} else if o.finish != "cancelled" {
					t.Errorf("request %d: finish %q, want cancelled", i, o.finish)
				}
			}
			swaps()
			compare(t, got, want)
			atHome(t, e)
			if err := stop(e); err != nil {
				t.Error(err)
			}
		})
	}
}

// swapMeanwhile swaps libraries until the function it returns is called.
func swapMeanwhile(t *testing.T, e *Engine, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var swaps sync.WaitGroup
	swaps.Go(func() {
		for i := seed; ctx.Err() == nil; i++ {
			to := []string{"expert=cpu/generic", "ref", "@1=cpu/generic", "cpu/generic", "attend=ref"}[i%5]
			if err := e.Swap(ctx, Change{Binding: bindingOf(t, to), Shadow: int(i%3) - 1}); err != nil && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "nothing changes") {
				t.Errorf("swap to %s: %v", to, err)
			}
		}
	})
	return func() { cancel(); swaps.Wait() }
}

// submitTogether sends all requests, and a cancel for one of them, before the first turn runs: what then
// happens depends on the seed alone.
func submitTogether(t *testing.T, e *Engine, s *shuffler, cancelled int) (streams []*Stream) {
	t.Helper()
	requests := asks(t)
	replies := make(chan error, len(requests))
	s.hold(true)
	for _, r := range requests {
		streams = append(streams, newStream(e))
		e.tell(&submit{request: r, stream: streams[len(streams)-1], reply: replies})
	}
	if cancelled >= 0 {
		e.tell(&cancel{streams[cancelled]})
	}
	s.hold(false)
	for range requests {
		if err := <-replies; err != nil {
			t.Fatal(err)
		}
	}
	return streams
}
