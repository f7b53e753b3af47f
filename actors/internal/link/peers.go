package link

import (
	"maps"
	"sync"
)

// peers counts the connections with each peer, of both directions, so that the end of a peer is told once, though the
// library may say it three times, and the late end of a connection with a process that has been replaced is not told
// as the end of the new one.
type peers struct {
	lost func(address string)

	mu     sync.Mutex
	by     map[string]*ends
	silent bool
}

// ends are the connections with one address.
type ends struct {
	out  bool // one that this side has opened is up
	in   int  // streams that the peer has opened
	told bool // of an end since the last beginning, which a probe is as well
}

// mostKnown is how many addresses are remembered; above it, those without a connection are forgotten.
const mostKnown = 1024

func newPeers(lost func(string)) *peers { return &peers{lost: lost, by: map[string]*ends{}} }

func (p *peers) of(address string) *ends {
	e := p.by[address]
	if e == nil {
		if len(p.by) >= mostKnown {
			maps.DeleteFunc(p.by, func(_ string, e *ends) bool { return !e.out && e.in == 0 })
		}
		e = &ends{}
		p.by[address] = e
	}
	return e
}

// found, opened and came are beginnings: a probe, this side's connection, and the peer's.
func (p *peers) found(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(address).told = false
}

func (p *peers) opened(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.of(address)
	e.out, e.told = true, false
}

func (p *peers) came(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.of(address)
	e.in++
	e.told = false
}

// closed and left are ends. A dial that fails is an end without a beginning.
func (p *peers) closed(address string) {
	p.mu.Lock()
	e := p.of(address)
	e.out = false
	p.tell(address, e)
}

func (p *peers) left(address string) {
	p.mu.Lock()
	e := p.of(address)
	e.in--
	if e.in > 0 {
		p.mu.Unlock()
		return
	}
	p.tell(address, e)
}

// tell says that a peer is lost, unless that was said; it unlocks.
func (p *peers) tell(address string, e *ends) {
	told := e.told || p.silent
	e.told = true
	p.mu.Unlock()
	if !told {
		p.lost(address)
	}
}

// silence ends the telling.
func (p *peers) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}
