// Package link is the door to other hosts: protoactor's remote, so that actors of several processes send each other
// messages, behind mutual TLS and a check of everything that comes in.
//
// The library trusts whoever reaches its port: a peer can stop any actor, have messages passed on to third hosts and,
// with one index out of range, end the process. So nothing reaches it here before it has been looked at twice: its
// form on the wire (how many envelopes, which fields: form.go) and its meaning (which types, to and from whom:
// check.go). What breaks a rule closes the stream with an error and is not delivered; the process goes on.
//
// It leaves to its user what messages mean, credits (a queue to a peer has no limit), who may use which actor beyond
// Config.Targets, and silence: a peer that hangs is noticed after 13 s at the earliest.
package link
