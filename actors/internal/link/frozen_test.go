//go:build unix

package link

import (
	"syscall"
	"testing"
	"time"
)

// A peer that is stopped closes nothing: its silence is what is noticed, and when it goes on it does no harm.
func TestPeerIsFrozen(t *testing.T) {
	if testing.Short() {
		t.Skip("gRPC asks after 10 s of silence at the earliest")
	}
	lost := make(chan string, 8)
	c := plain("127.0.0.1:0")
	c.Lost = func(a string) { lost <- a }
	l, system := started(t, c)
	p := newProcess(t, "127.0.0.1:0")
	if err := l.Probe(patient(t), p.address); err != nil {
		t.Fatal(err)
	}
	asks(t, system, p.address, []byte("before"))
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if a := heard(t, lost); a != p.address {
		t.Errorf("lost %q, want %q", a, p.address)
	}
	t.Logf("noticed after %v", time.Since(begun))
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := l.Probe(patient(t), p.address); err != nil {
		t.Fatal(err)
	}
	asks(t, system, p.address, []byte("after"))
}
