package link

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
)

const (
	maxName     = 256 // bytes of an actor's name
	maxTypeName = 256
	maxSystem   = 128 // bytes of a system's identity
)

// check returns why a batch of a peer must not reach the library, or nil. The peer's address is the one that it
// connected with: an answer goes there and nowhere else.
func (r *rules) check(m *remote.MessageBatch, peer string) error {
	n := len(m.GetEnvelopes())
	switch {
	case n == 0:
		return fmt.Errorf("link: a batch without messages")
	case n > batchSize, len(m.TypeNames) > n, len(m.Targets) > n, len(m.Senders) > n:
		return fmt.Errorf("link: a batch of %d messages, %d types, %d targets, %d senders, want at most %d messages and no more of the others than messages",
			n, len(m.TypeNames), len(m.Targets), len(m.Senders), batchSize)
	}
	for _, name := range m.TypeNames {
		if !r.types[name] {
			return fmt.Errorf("link: type %.100q may not come in: both sides must be of the same version", name)
		}
	}
	for _, pid := range m.Targets {
		if err := checkPID(pid, r.address); err != nil {
			return fmt.Errorf("link: target: %w: send to the address that the peer advertises", err)
		}
		if !r.targets(pid.Id) {
			return fmt.Errorf("link: target %q is not for peers", pid.Id)
		}
	}
	for _, pid := range m.Senders {
		if err := checkPID(pid, peer); err != nil {
			return fmt.Errorf("link: sender: %w: a peer sends for itself", err)
		}
	}
	for i, e := range m.Envelopes {
		if err := r.checkEnvelope(e, m); err != nil {
			return fmt.Errorf("link: message %d of %d: %w", i, n, err)
		}
	}
	return nil
}

// checkPID wants a name, and the address.
func checkPID(pid *actor.PID, address string) error {
	switch {
	case pid == nil || pid.Id == "" || len(pid.Id) > maxName:
		return fmt.Errorf("a name of %d bytes, want 1 to %d", len(pid.GetId()), maxName)
	case pid.Address != address:
		return fmt.Errorf("an actor at %.300q, want %q", pid.Address, address)
	case pid.RequestId != 0:
		return fmt.Errorf("a request in the list of names, want it at the message")
	}
	return nil
}

// checkEnvelope holds what the library uses as an index against what it indexes.
func (r *rules) checkEnvelope(e *remote.MessageEnvelope, m *remote.MessageBatch) error {
	switch {
	case e == nil:
		return fmt.Errorf("it is missing")
	case e.SerializerId != 0:
		return fmt.Errorf("serializer %d, want 0, protobuf", e.SerializerId)
	case e.TypeId < 0 || int(e.TypeId) >= len(m.TypeNames):
		return fmt.Errorf("type %d of %d", e.TypeId, len(m.TypeNames))
	case e.Target < 0 || int(e.Target) >= len(m.Targets):
		return fmt.Errorf("target %d of %d", e.Target, len(m.Targets))
	case e.Sender < 0 || int(e.Sender) > len(m.Senders): // 0 is nobody
		return fmt.Errorf("sender %d of %d", e.Sender, len(m.Senders))
	case e.MessageHeader != nil:
		return fmt.Errorf("it has a header, which nobody here reads")
	case len(e.MessageData) > r.maxMessage:
		return fmt.Errorf("%d bytes, want at most %d: send it in pieces", len(e.MessageData), r.maxMessage)
	}
	return nil
}

// checkConnect returns the address with which a peer begins a stream: where its senders are.
func checkConnect(c *remote.ConnectRequest) (address string, err error) {
	s := c.GetServerConnection()
	if s == nil {
		return "", fmt.Errorf("link: a stream of a peer that has no address, want one of troupe's own kind")
	}
	if len(s.SystemId) > maxSystem {
		return "", fmt.Errorf("link: a system's identity of %d bytes, want at most %d", len(s.SystemId), maxSystem)
	}
	host, err := hostOf("a peer at", s.Address)
	if err != nil {
		return "", err
	}
	if unspecified(host) {
		return "", fmt.Errorf("link: a peer at %q: it cannot be reached there: have it advertise its address", s.Address)
	}
	return s.Address, nil
}
