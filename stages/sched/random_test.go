package sched

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestAnyCompany drives random requests through random limits, with batches that come back in any order,
// cancellations and failures: every request gets exactly what it gets alone, and nothing leaks.
func TestAnyCompany(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			c := testConfig()
			c.Stages, c.Batches = 1+rng.IntN(4), 1+rng.IntN(5)
			c.Rows, c.Draws = 1+rng.IntN(40), 1+rng.IntN(12)
			c.Sequences, c.Queue, c.Blocks = 1+rng.IntN(8), rng.IntN(6), 3+rng.IntN(12)
			if rng.IntN(3) == 0 {
				c.PadSizes = []int{4, 12, 20, 33}
			}
			l := newLine(t, c)
			troubled := rng.IntN(2) == 0
			for range 150 {
				switch rng.IntN(7) {
				case 0, 1:
					l.submit(l.half(rng, randomRequest(rng, c.Model)))
				case 2, 3:
					l.next()
				case 4:
					l.compute()
				case 5:
					if l.ran > 0 {
						l.commit(rng.IntN(l.ran))
					}
				case 6:
					if !troubled {
						break
					}
					if rng.IntN(3) > 0 && l.s.lastID > 0 {
						l.cancel(ID(1 + rng.Uint64N(uint64(l.s.lastID))))
					} else if len(l.out) > 0 {
						l.fail(rng.IntN(len(l.out)), errors.New("a kernel failed"))
					}
				}
			}
			l.drain()
			for id := range l.asked {
				l.compare(id)
			}
		})
	}
}
