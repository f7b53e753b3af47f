package actors

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/kernels"
	"troupe/stages"
	"troupe/stages/sched"
)

// The conversation:
//
//	client → head         submit, cancel, inquire, leave
//	head → stage 0        pass      the batch; a credit leaves
//	stage → router        ask       experts for the layer at hand
//	router → expert       work      one for each expert in use
//	expert → router       part      it is computed, or why not
//	router → stage        answer    all parts are in
//	stage → next stage    pass
//	last stage → head     drawn     the credit returns
//	stage → head          failed    the credit returns
//	keeper → head         restart   who died is back, or who moved in his new place: a new epoch
//	keeper → head         short     nobody can take what was lost
//	head → any part       die       as a trial
//
// Pass, ask, answer, work and part are of an epoch; those of an earlier one are dropped by whoever receives them, and
// the head makes new credits for the batches that were on their way.
//
// From pass to failed the messages are parts of a [credit], made once and sent again and again: the
// steady state allocates nothing. A message may be sent again once its receiver has acted on it, which
// the order of the conversation ensures.
type (
	pass   struct{ *credit }
	ask    struct{ *credit }
	answer struct{ *credit }
	drawn  struct{ *credit }
	failed struct{ *credit }

	work struct {
		*credit
		rows kernels.Work // lent until the part is sent
	}
	part struct {
		*credit
		expert int
		err    error
	}
)

// From a client's goroutine; replies go to channels with room for them.
type (
	submit struct {
		request sched.Request
		stream  *Stream
		reply   chan error
	}
	cancel  struct{ stream *Stream }
	inquire struct{ reply chan Stats }
	leave   struct{ home chan struct{} } // cancel everything; closed when all credits are home
)

// die has the part that receives it panic.
type die struct{ injury *Injury }

// halt has the part that receives it take no messages for a while, and wake ends that.
type (
	halt struct{ during time.Duration }
	wake struct{}
)

// restart comes from the keeper when the company is complete again: nothing of an earlier epoch is computed any more.
type restart struct {
	epoch  uint64
	at     time.Duration // since epoch: when it began, without deaths
	deaths []death
	moved  []Part
	done   chan Recovery // told when all is on its way again, if it is a move; room for one
	stages []*actor.PID
}

// credit is the permission to have a batch in flight, with the batch and every message about it. Who
// received its last message holds it (M1); the fields of another part's section are not touched.
type credit struct {
	slot  int // number of the batch's memory
	batch *stages.Batch
	err   error          // why the batch failed
	epoch uint64         // it was sent in
	now   *atomic.Uint64 // the engine's epoch

	home *actor.PID // the head
	from struct {   // who waits for the answer
		stage, router *actor.PID
	}

	// The stage's: place in the order of batches.
	segment int  // next to run
	away    bool // its experts are at work

	// The router's.
	layer   int
	missing int // parts
	counted int // layers that have been counted: once, however often they are computed
	looked  int // layers that have been looked at

	// The head's.
	replay bool // keys and values are wanted, not draws
	enter  int  // replay: the first stage, which takes its input from the journal
	until  int  // replay: the last stage
	deaths int  // of parts at this batch

	pass   pass
	ask    ask
	answer answer
	drawn  drawn
	failed failed
	work   []work // [experts]
	part   []part // [experts]
}

// stale tells that what the message is about has been lost with a part that died, and is sent anew.
func (c *credit) stale() bool { return c.epoch != c.now.Load() }

// again is a credit in the place of one that was lost on its way: messages of the old one may still come.
func (c *credit) again() *credit {
	n := newCredit(c.slot, c.batch, len(c.work), c.now)
	n.err, n.counted, n.looked, n.deaths = c.err, c.counted, c.looked, c.deaths
	return n
}

// leave readies a credit to leave home.
func (c *credit) leave(epoch uint64, home *actor.PID) *pass {
	c.err, c.epoch, c.home = nil, epoch, home
	return &c.pass
}

func newCredit(slot int, b *stages.Batch, experts int, now *atomic.Uint64) *credit {
	c := &credit{slot: slot, batch: b, now: now, work: make([]work, experts), part: make([]part, experts)}
	c.pass, c.ask, c.answer, c.drawn, c.failed = pass{c}, ask{c}, answer{c}, drawn{c}, failed{c}
	for e := range experts {
		c.work[e].credit, c.part[e].credit, c.part[e].expert = c, c, e
	}
	return c
}

// partError is the error of the first expert that failed, first by number so that it is the same on
// every run.
func (c *credit) partError() (first error) {
	for e := range c.part {
		if p := &c.part[e]; p.err != nil {
			if first == nil {
				first = p.err
			}
			p.err = nil
		}
	}
	return first
}
