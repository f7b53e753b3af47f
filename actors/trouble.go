package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// trouble is what is wrong with the link to a side, on purpose: messages of both directions come late, in their order,
// or not at all.
type trouble struct {
	mu     sync.Mutex
	late   time.Duration
	lateTo time.Time // end of it
	lostTo time.Time // until then what is sent is lost
	queue  []delayed // the first is waited for, or being delivered
}

type delayed struct {
	at      time.Time
	deliver func()
}

// delay has messages come late for a time from now on.
func (t *trouble) delay(by, during time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late, t.lateTo = by, time.Now().Add(during)
}

// drop has messages be lost for a time from now on.
func (t *trouble) drop(during time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lostTo = time.Now().Add(during)
}

// takes tells whether a message is lost, or late and then delivered by someone else. A nil trouble takes none.
func (t *trouble) takes(deliver func()) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.lostTo) {
		return true
	}
	at := now
	if now.Before(t.lateTo) {
		at = now.Add(t.late)
	}
	if n := len(t.queue); n > 0 {
		if last := t.queue[n-1].at; at.Before(last) { // nobody is overtaken
			at = last
		}
	} else if at.Equal(now) {
		return false
	}
	t.queue = append(t.queue, delayed{at, deliver})
	if len(t.queue) == 1 {
		go t.run()
	}
	return true
}

// run delivers until nothing is left.
func (t *trouble) run() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.mu.Unlock()
			return
		}
		next := t.queue[0]
		t.mu.Unlock()
		time.Sleep(time.Until(next.at))
		next.deliver()
		t.mu.Lock()
		t.queue = t.queue[1:]
		t.mu.Unlock()
	}
}

// troubles are those of one direction, by address of the other side.
type troubles struct {
	any atomic.Bool
	mu  sync.Mutex
	all map[string]*trouble
}

// of is the trouble with a side, nil for none.
func (t *troubles) of(address string) *trouble {
	if !t.any.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[address]
}

func (t *troubles) make(address string) *trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.any.Store(true)
	if t.all == nil {
		t.all = map[string]*trouble{}
	}
	if t.all[address] == nil {
		t.all[address] = &trouble{}
	}
	return t.all[address]
}

// Delay has messages from and to a side come late for a time, for trials.
func (n *Net) Delay(address string, by, during time.Duration) {
	n.out.make(address).delay(by, during)
	n.in.make(address).delay(by, during)
}

// Drop has messages from and to a side be lost for a time, for trials.
func (n *Net) Drop(address string, during time.Duration) {
	n.out.make(address).drop(during)
	n.in.make(address).drop(during)
}

// late is a message that has come in late.
type late struct{ message any }

// arrived is what a message that has come in from a side is to be taken for; nil: for nothing, it is lost or late.
func (n *Net) arrived(address string, c actor.Context) any {
	m := c.Message()
	if l, ok := m.(late); ok {
		return l.message
	}
	switch m.(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage:
		return m
	}
	self := c.Self()
	if n.in.of(address).takes(func() { n.system.Root.Send(self, late{m}) }) {
		return nil
	}
	return m
}
