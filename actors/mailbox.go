package actors

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox hands its actor one message per turn of the lane. The library's own mailbox hands over all
// that has arrived, so that a stage with two batches would run both before its router sees the first
// ask, and the experts' device would idle meanwhile; it also makes a closure per turn, this one none.
type mailbox struct {
	panicked   func(reason any, stack []byte, message any) // told of a panic, before the guardian is
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	turn       func() // m.step, made once

	pending   atomic.Int32 // messages posted and not yet handled; a turn is queued or running when above 0
	suspended bool         // after a panic; the turn's alone

	mu     sync.Mutex
	system fifo
	user   fifo
}

var _ actor.Mailbox = (*mailbox)(nil)

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.dispatcher, m.turn = invoker, dispatcher, m.step
}

func (m *mailbox) Start() {}

func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.len()
}

func (m *mailbox) PostUserMessage(message any)   { m.post(&m.user, message) }
func (m *mailbox) PostSystemMessage(message any) { m.post(&m.system, message) }

func (m *mailbox) post(q *fifo, message any) {
	m.mu.Lock()
	q.push(message)
	m.mu.Unlock()
	if m.pending.Add(1) == 1 {
		m.dispatcher.Schedule(m.turn)
	}
}

// step is a turn: system messages go before user messages, as in the library's mailbox. The next turn
// is queued behind those of the actors that this message has woken.
func (m *mailbox) step() {
	m.mu.Lock()
	system := m.system.len() > 0
	var message any
	if system {
		message = m.system.pop()
	} else {
		message = m.user.pop()
	}
	m.mu.Unlock()

	m.handle(message, system)
	if m.pending.Add(-1) > 0 {
		m.dispatcher.Schedule(m.turn)
	}
}

// handle gives a message to the actor. A suspended actor gets no user messages; they are dropped, since
// the guardian stops whoever was suspended.
func (m *mailbox) handle(message any, system bool) {
	defer func() {
		if r := recover(); r != nil {
			m.panicked(r, debug.Stack(), message)
			m.invoker.EscalateFailure(r, message)
		}
	}()
	if !system {
		if !m.suspended {
			m.invoker.InvokeUserMessage(message)
		}
		return
	}
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}

// fifo is a queue on one slice, which is used again once it has been emptied.
type fifo struct {
	items []any
	head  int
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(message any) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, message)
}

func (q *fifo) pop() any {
	message := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return message
}
