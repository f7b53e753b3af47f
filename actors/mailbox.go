package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox hands its actor one message per turn of the lane. The library's own mailbox hands over all
// that has arrived, so that a stage with two batches would run both before its router sees the first
// ask, and the experts' device would idle meanwhile; it also makes a closure per turn, this one none.
type mailbox struct {
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	turn       func() // m.step, made once

	mu        sync.Mutex
	system    fifo
	user      fifo
	scheduled bool // a turn is queued or running
	suspended bool // after a panic: system messages only
}

var _ actor.Mailbox = (*mailbox)(nil)

func newMailbox() actor.Mailbox { return &mailbox{} }

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
	schedule := !m.scheduled && m.ready()
	m.scheduled = m.scheduled || schedule
	m.mu.Unlock()
	if schedule {
		m.dispatcher.Schedule(m.turn)
	}
}

// ready reports whether a message may be handed over.
func (m *mailbox) ready() bool {
	return m.system.len() > 0 || m.user.len() > 0 && !m.suspended
}

// step is a turn: system messages go before user messages, as in the library's mailbox.
func (m *mailbox) step() {
	m.mu.Lock()
	var message any
	system := m.system.len() > 0
	if system {
		message = m.system.pop()
	} else {
		message = m.user.pop()
	}
	m.mu.Unlock()

	m.handle(message, system)

	m.mu.Lock()
	m.scheduled = m.ready()
	again := m.scheduled
	m.mu.Unlock()
	if again {
		m.dispatcher.Schedule(m.turn)
	}
}

func (m *mailbox) handle(message any, system bool) {
	defer func() {
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(r, message)
		}
	}()
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspend(true)
	case *actor.ResumeMailbox:
		m.suspend(false)
	default:
		if system {
			m.invoker.InvokeSystemMessage(message)
		} else {
			m.invoker.InvokeUserMessage(message)
		}
	}
}

func (m *mailbox) suspend(yes bool) {
	m.mu.Lock()
	m.suspended = yes
	m.mu.Unlock()
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
