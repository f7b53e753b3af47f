package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"troupe/actors"
	"troupe/model"
	"troupe/router"
	"troupe/stages/sched"
)

// Judge judges documents under policies on a running engine.
type Judge struct {
	Engine *actors.Engine
	Model  model.Config
	// Requests is how many are handed in at a time: at most what the engine lets run and wait.
	Requests int
	// Base is the policy that others are compared with; without Compare it is not used, and losses alone are drawn,
	// where they are computed.
	Compare bool
	Base    router.Policy
	// Memory bounds the logits of the base that are kept, in bytes: 4 for each judged token and each of the vocabulary,
	// for the documents that are judged at the time. 0: DefaultMemory.
	Memory int64
	// Progress is told of tokens judged, one call at a time; may be nil.
	Progress func(tokens int)
}

// DefaultMemory keeps 512 positions of a vocabulary of 131,072, as Grok-1 has.
const DefaultMemory = 256 << 20

// Unit is a document judged under a policy; both are indices of what [Judge.Run] was given.
type Unit struct {
	Document, Policy int
	Quality          Quality
}

// Requests are one for each kind that a judge of these policies hands in for a document, to size an engine for them
// and to have them checked before it is started.
func Requests(d Document, policies []router.Policy, compare bool) []sched.Request {
	list := make([]sched.Request, len(policies))
	for i, p := range policies {
		list[i] = request(d, p, compare)
	}
	return list
}

// request judges a document. The last id predicts nothing.
func request(d Document, p router.Policy, logits bool) sched.Request {
	if logits {
		return sched.Request{Prompt: d.IDs[:d.Judged()], Policy: p, EOS: -1, Mode: sched.Logits}
	}
	return sched.Request{Prompt: d.IDs, Policy: p, EOS: -1, Mode: sched.Score}
}

// Run judges each document under each policy, but for pairs that skip names (nil: none), and hands each result to
// take as soon as it is known, one call at a time, in no order. It ends with the first error, of a request, of take,
// or of ctx; what take has been given until then is whole. Documents run in their order, with all policies of one side
// by side, as many documents at a time as Memory and Requests allow.
func (j *Judge) Run(ctx context.Context, documents []Document, policies []router.Policy, skip func(document, policy int) bool, take func(Unit) error) error {
	r := &judging{Judge: j, policies: policies, take: take, slots: make(chan struct{}, max(j.Requests, 1))}
	r.memory.left = j.Memory
	if r.memory.left == 0 {
		r.memory.left = DefaultMemory
	}
	r.memory.freed = make(chan struct{}, 1)
	var todo []task
	for i, d := range documents {
		t := task{Document: d, index: i}
		for p := range policies {
			if skip == nil || !skip(i, p) {
				t.policies = append(t.policies, p)
			}
		}
		if len(t.policies) == 0 {
			continue
		}
		if err := r.fits(&t); err != nil {
			return err
		}
		todo = append(todo, t)
	}
	return r.all(ctx, todo)
}

// task is a document with the policies under which it is still to be judged.
type task struct {
	Document
	index    int
	policies []int
	bytes    int64 // of its base's logits
}

// judging is a run of a judge.
type judging struct {
	*Judge
	policies []router.Policy
	slots    chan struct{} // requests in flight
	memory   memory

	mu      sync.Mutex // one call of take or Progress at a time
	take    func(Unit) error
	refused error // of take, which is not called again then
}

// fits counts the memory of a task's base.
func (r *judging) fits(t *task) error {
	if !r.Compare {
		return nil
	}
	t.bytes = 4 * int64(t.Judged()) * int64(r.Model.VocabSize)
	if t.bytes > r.memory.left {
		return fmt.Errorf("lab: %s: the logits of %d tokens take %d bytes, want at most %d: allow more (--kl-memory), cut it into documents, or leave the divergence out (--no-kl)",
			t.Name, t.Judged(), t.bytes, r.memory.left)
	}
	return nil
}

// all runs tasks, in their order as far as there is memory.
func (r *judging) all(ctx context.Context, tasks []task) error {
	ctx, fail := context.WithCancelCause(ctx) // the first error counts
	defer fail(nil)
	documents := make(chan struct{}, cap(r.slots)) // more than requests would only wait
	var wg sync.WaitGroup
	for _, t := range tasks {
		documents <- struct{}{}
		if !r.memory.get(ctx, t.bytes) {
			break
		}
		wg.Go(func() {
			r.document(ctx, &t, fail)
			r.memory.put(t.bytes)
			<-documents
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// document judges one under its policies, the base first where others are compared with it.
func (r *judging) document(ctx context.Context, t *task, fail func(error)) {
	var base [][]float32
	var own Quality // of the base
	isBase := func(p int) bool { return r.Compare && r.policies[p].Equal(r.Base) }
	if r.Compare && t.Judged() > 0 {
		var err error
		if base, err = r.logits(ctx, t, slices.ContainsFunc(t.policies, isBase), &own); err != nil {
			fail(err)
			return
		}
	}
	var wg sync.WaitGroup
	for _, p := range t.policies {
		wg.Go(func() {
			q := own
			var err error
			if !isBase(p) && t.Judged() > 0 {
				q, err = r.one(ctx, t, r.policies[p], base)
			}
			if err == nil {
				err = r.deliver(ctx, Unit{t.index, p, q})
			}
			if err != nil {
				fail(err)
			}
		})
	}
	wg.Wait()
}

// deliver hands a unit out, unless something has failed.
func (r *judging) deliver(ctx context.Context, u Unit) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.refused == nil {
		u.Quality.Loss, u.Quality.KL = finite(u.Quality.Loss), finite(u.Quality.KL)
		r.refused = r.take(u)
	}
	return r.refused
}

func (r *judging) progress() {
	if r.Progress != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Progress(1)
	}
}
