package kv

import "fmt"

// Pool lends the blocks of a cache. It allocates nothing once it is made.
type Pool struct {
	positions int     // of one block
	free      []int32 // the last one is lent next: it is the likeliest to be in the processor's caches
	lent      []bool  // [blocks]
	most      int     // blocks ever lent at a time
}

// Stats are a pool's numbers, in blocks.
type Stats struct {
	Blocks int // all there are
	Lent   int // to sequences, now
	Most   int // lent at a time, ever
}

// NewPool makes a pool of free blocks that hold that many positions each.
func NewPool(blocks, positions int) *Pool {
	p := &Pool{positions: positions, free: make([]int32, blocks), lent: make([]bool, blocks)}
	for i := range p.free {
		p.free[i] = int32(blocks - 1 - i)
	}
	return p
}

// BlocksFor is the number of blocks that hold so many positions.
func (p *Pool) BlocksFor(positions int) int { return (positions + p.positions - 1) / p.positions }

// Take lends n blocks and appends their numbers to a table. It lends none and returns false when there
// are fewer.
func (p *Pool) Take(n int, table []int32) ([]int32, bool) {
	rest := len(p.free) - n
	if rest < 0 {
		return table, false
	}
	for i := len(p.free) - 1; i >= rest; i-- {
		b := p.free[i]
		if p.lent[b] {
			panic(fmt.Sprintf("BUG: kv: block %d is lent and free at once", b))
		}
		p.lent[b] = true
		table = append(table, b)
	}
	p.free = p.free[:rest]
	p.most = max(p.most, len(p.lent)-rest)
	return table, true
}

// Give takes the blocks of a table back.
func (p *Pool) Give(table []int32) {
	for _, b := range table {
		if b < 0 || int(b) >= len(p.lent) || !p.lent[b] {
			panic(fmt.Sprintf("BUG: kv: block %d of %d comes back without having been lent", b, len(p.lent)))
		}
		p.lent[b] = false
		p.free = append(p.free, b)
	}
}

// Stats says how many blocks are lent.
func (p *Pool) Stats() Stats {
	return Stats{Blocks: len(p.lent), Lent: len(p.lent) - len(p.free), Most: p.most}
}
