package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands between a head and a worker, in one direction of connecting, and does harm.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	rng   *rand.Rand
	conns []net.Conn
	delay time.Duration // of each piece
	spoil float64       // chance of a piece to have a byte changed
	cut   float64       // chance of the connection to end behind a piece
	slice bool          // pieces are cut into single bytes and more
	swap  float64       // chance of the halves of a piece to change places
	done  int           // pieces that were harmed
	quiet int           // pieces to come that are spared
}

func newProxy(t *testing.T, seed uint64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, rng: rand.New(rand.NewPCG(seed, 1))}
	t.Cleanup(func() { l.Close(); p.harm(func() {}); p.sever() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// startPieces pass unharmed, so that a run begins; of batches a fourth.
const startPieces = 120

// harm changes what the proxy does.
func (p *proxy) harm(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.spoil, p.cut, p.swap, p.slice = 0, 0, 0, 0, false
	f()
}

// sever ends all connections.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) serve(c net.Conn) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	d, err := net.Dial("tcp", to)
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, c, d)
	p.mu.Unlock()
	go p.carry(c, d)
	p.carry(d, c)
}

func (p *proxy) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.quiet--
		spared := p.quiet >= 0
		delay, cut, slice, spoil := p.delay, p.rng.Float64() < p.cut, p.slice && !spared, p.rng.Float64() < p.spoil && !spared
		if spared {
			delay, cut = 0, false
		}
		swap := p.rng.Float64() < p.swap && !spared && n > 1
		if delay > 0 || cut || slice || spoil || swap {
			p.done++
		}
		if swap {
			copy(piece, slices.Concat(piece[n/2:n], piece[:n/2]))
		}
		if spoil {
			piece[p.rng.IntN(n)] ^= byte(1 + p.rng.IntN(255))
		}
		p.mu.Unlock()
		time.Sleep(delay)
		for at := 0; at < n; {
			end := n
			if slice {
				end = min(n, at+1+at*2)
			}
			if _, err := to.Write(piece[at:end]); err != nil {
				return
			}
			at = end
		}
		if cut {
			return
		}
	}
}

// A connection that is slow, cut in the middle, in slices, out of order, or full of garbage changes no byte of the text and ends neither side. It is
// one with certificates: garbage on one without may be a value like any other.
func TestBadConnections(t *testing.T) {
	long(t)
	var lines strings.Builder
	for i := range 6 {
		fmt.Fprintf(&lines, `{"id": "%d", "prompt": "Tale: The Fox and %d", "max_tokens": 700}`+"\n", i, i)
	}
	prompts := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(prompts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	want, _ := generate(t, "--prompts", prompts)
	out, home, data := newProxy(t, 1), newProxy(t, 2), newProxy(t, 3) // what the head connects to, what the worker connects back to, where batches go
	out.to, data.to = freePort(t), freePort(t)
	certs := filepath.Join(t.TempDir(), "certs")
	troupe(t, "", "cert", "--out", certs).ok(t)
	a := startWorker(t, "--cert", certs, "--listen", out.to, "--advertise", out.address(), "--data-listen", data.to, "--data-advertise", data.address())
	b := startWorker(t, "--cert", certs)
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		harm func(p *proxy)
	}{
		{"delayed", func(p *proxy) { p.delay = time.Millisecond }},
		{"sliced", func(p *proxy) { p.slice = true }},
		{"cut", func(p *proxy) { p.cut = 0.01 }},
		{"reordered", func(p *proxy) { p.swap = 0.01 }},
		{"garbage", func(p *proxy) { p.spoil = 0.01 }},
		{"all", func(p *proxy) { p.delay, p.slice, p.cut, p.spoil = time.Millisecond, true, 0.005, 0.005 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			for _, p := range []*proxy{out, home, data} {
				p.harm(func() {
					if p.done, p.quiet = 0, startPieces; p == data {
						p.quiet /= 4
					}
					c.harm(p)
				})
			}
			home.mu.Lock()
			home.to = port
			home.mu.Unlock()
			cmd := exec.Command(path, "run", "--cert", certs, "--workers", out.address(), "--spares", b.address, "--listen", port, "--advertise", home.address(),
				"--temperature", "0", "--ignore-eos", "--prompts", prompts)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			calm := time.AfterFunc(5*time.Second, func() {
				for _, p := range []*proxy{out, home, data} {
					p.harm(func() {})
				}
			})
			defer calm.Stop()
			select {
			case err := <-ended:
				if err != nil || tokensIn(t, stdout.String()) != tokensIn(t, want) {
					t.Errorf("%v: %s, want %s: %s", err, stdout.String(), want, stderr.String())
				}
			case <-time.After(2 * time.Minute):
				cmd.Process.Kill()
				t.Fatalf("it does not end: %s", stderr.String())
			}
			done := 0
			for _, p := range []*proxy{out, home, data} {
				p.harm(func() { done += p.done })
				p.sever()
			}
			t.Logf("%d pieces harmed; %s", done, stderr.String())
			if done == 0 {
				t.Error("no harm was done")
			}
			if a.ProcessState != nil {
				t.Fatal("the worker has ended")
			}
		})
	}
	if s := a.err.String() + b.err.String(); strings.Contains(s, "panic") {
		t.Error(s)
	}
}

// tokensIn is what results say apart from times.
func tokensIn(t *testing.T, results string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(results) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		fmt.Fprintln(&out, r["id"], r["tokens"], r["finish"])
	}
	return out.String()
}

// freePort is an address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
