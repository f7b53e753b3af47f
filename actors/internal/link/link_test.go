package link

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMessagesOfAllSizes(t *testing.T) {
	here, system := started(t, plain("127.0.0.1:0"))
	there, _ := started(t, plain("127.0.0.1:0"))
	if err := here.Probe(patient(t), there.Address()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 12 << 10, 256 << 10, 3 << 20, defaultMaxMessage - 64} {
		asks(t, system, there.Address(), bytes.Repeat([]byte{7}, n))
	}
	if err := here.Fits(wrapperspb.Bytes(make([]byte, defaultMaxMessage))); err == nil {
		t.Error("a message of more than the limit fits")
	}
	if err := here.Fits(wrapperspb.Bytes(make([]byte, defaultMaxMessage-64))); err != nil {
		t.Error(err)
	}
}

// Many messages at once are cut into batches that the peer takes.
func TestBurst(t *testing.T) {
	_, system := started(t, plain("127.0.0.1:0"))
	for _, size := range []int{64 << 10, defaultMaxMessage - 64} {
		there, peer := started(t, plain("127.0.0.1:0"))
		count := 2000
		if size > 1<<20 {
			count = 40
		}
		var got atomic.Int64
		all := make(chan struct{})
		next := byte(0)
		_, err := peer.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
			m, ok := c.Message().(*wrapperspb.BytesValue)
			if !ok {
				return
			}
			if m.Value[0] != next {
				t.Errorf("message %d came as number %d", m.Value[0], next)
			}
			next++
			if got.Add(1) == int64(count) {
				close(all)
			}
		}), "part-count")
		if err != nil {
			t.Fatal(err)
		}
		to := actor.NewPID(there.Address(), "part-count")
		for i := range count {
			b := make([]byte, size)
			b[0] = byte(i)
			system.Root.Send(to, wrapperspb.Bytes(b))
		}
		select {
		case <-all:
		case <-patient(t).Done():
			t.Fatalf("%d of %d messages of %d bytes have come", got.Load(), count, size)
		}
	}
}

func TestPeerIsKilled(t *testing.T) {
	lost := make(chan string, 8)
	c := plain("127.0.0.1:0")
	c.Lost = func(a string) { lost <- a }
	l, system := started(t, c)
	p := newProcess(t, "127.0.0.1:0")
	if err := l.Probe(patient(t), p.address); err != nil {
		t.Fatal(err)
	}
	asks(t, system, p.address, []byte("before"))
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if a := heard(t, lost); a != p.address {
		t.Errorf("lost %q, want %q", a, p.address)
	}
	t.Logf("noticed after %v", time.Since(begun))
	_ = p.cmd.Wait()
	if err := l.Probe(patient(t), p.address); err == nil || !strings.Contains(err.Error(), "connection refused: is a worker running there?") {
		t.Errorf("probe of a dead peer: %v", err)
	}
	again := newProcess(t, p.address)
	if err := l.Probe(patient(t), again.address); err != nil {
		t.Fatal(err)
	}
	asks(t, system, again.address, []byte("after"))
	if len(lost) != 0 {
		t.Errorf("lost again: %q", <-lost)
	}
	if err := again.stdin.Close(); err != nil { // it goes in order
		t.Fatal(err)
	}
	if a := heard(t, lost); a != p.address {
		t.Errorf("lost %q, want %q", a, p.address)
	}
}

// A peer that has only ever been listened to is lost as well.
func TestPeerThatOnlySends(t *testing.T) {
	lost := make(chan string, 8)
	c := plain("127.0.0.1:0")
	c.Lost = func(a string) { lost <- a }
	l, system := started(t, c)
	other, peer := started(t, plain("127.0.0.1:0"))
	got := make(chan struct{})
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*wrapperspb.StringValue); ok {
			close(got)
		}
	}), "part-ear"); err != nil {
		t.Fatal(err)
	}
	peer.Root.Send(actor.NewPID(l.Address(), "part-ear"), wrapperspb.String("x"))
	<-got
	stopped(t, other)
	if a := heard(t, lost); a != other.Address() {
		t.Errorf("lost %q, want %q", a, other.Address())
	}
}

// Dials that fail and peers that come and go leave nothing.
func TestNothingIsLeft(t *testing.T) {
	lost := make(chan string, 8)
	c := plain("127.0.0.1:0")
	c.Lost = func(a string) { lost <- a }
	_, system := started(t, c)
	before := runtime.NumGoroutine()
	for range 2 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead := free.Addr().String()
		free.Close()
		system.Root.Send(actor.NewPID(dead, "part-echo"), wrapperspb.String("x"))
		if a := heard(t, lost); a != dead {
			t.Errorf("lost %q, want %q", a, dead)
		}
		other := newSystem()
		there, err := Start(other, plain("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Root.SpawnNamed(actor.PropsFromFunc(answer), "part-echo"); err != nil {
			t.Fatal(err)
		}
		asks(t, system, there.Address(), []byte("x"))
		stopped(t, there)
		other.Shutdown()
		heard(t, lost)
	}
	settles(t, before+2) // an actor system that has been shut down keeps none, a dead letter's throttle may keep one
}

// settles waits until there are at most n goroutines.
func settles(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, want at most %d:\n%s", runtime.NumGoroutine(), n, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Start(newSystem(), plain(taken.Addr().String()))
	if err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestOneLink(t *testing.T) {
	started(t, plain("127.0.0.1:0"))
	c := plain("127.0.0.1:0")
	c.Several = false
	if _, err := Start(newSystem(), c); err == nil || !strings.Contains(err.Error(), "has a link already") {
		t.Errorf("a second link: %v", err)
	}
}

func TestAdvertise(t *testing.T) {
	c := plain("127.0.0.1:0")
	c.Advertise = "localhost:0"
	there, _ := started(t, c)
	here, system := started(t, plain("127.0.0.1:0"))
	host, port, _ := net.SplitHostPort(there.Address())
	if host != "localhost" || port == "0" {
		t.Errorf("address %s", there.Address())
	}
	if err := here.Probe(patient(t), there.Address()); err != nil {
		t.Error(err)
	}
	err := here.Probe(patient(t), net.JoinHostPort("127.0.0.1", port))
	if err == nil || !strings.Contains(err.Error(), `the peer calls itself "localhost:`) {
		t.Errorf("another name than it has: %v", err)
	}
	asks(t, system, there.Address(), []byte("x"))
}
