package kv

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestBlocksFor(t *testing.T) {
	p := NewPool(4, 16)
	for _, c := range []struct{ positions, want int }{{0, 0}, {1, 1}, {15, 1}, {16, 1}, {17, 2}, {32, 2}, {33, 3}} {
		if got := p.BlocksFor(c.positions); got != c.want {
			t.Errorf("BlocksFor(%d) = %d, want %d", c.positions, got, c.want)
		}
	}
}

func TestTakeIsAllOrNothing(t *testing.T) {
	p := NewPool(3, 16)
	table := []int32{77}
	if got, ok := p.Take(4, table); ok || !slices.Equal(got, table) {
		t.Errorf("Take of 4 blocks out of 3 = %v, %v, want the table as it was, false", got, ok)
	}
	table, ok := p.Take(3, table)
	if !ok || len(table) != 4 || table[0] != 77 {
		t.Errorf("Take(3) = %v, %v, want three more blocks, true", table, ok)
	}
	if _, ok := p.Take(1, nil); ok {
		t.Error("Take(1) of an empty pool = true")
	}
	if _, ok := p.Take(0, nil); !ok {
		t.Error("Take(0) = false")
	}
	if got, want := p.Stats(), (Stats{Blocks: 3, Lent: 3, Most: 3}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestGiveOfWhatWasNotLent(t *testing.T) {
	for name, table := range map[string][]int32{
		"never lent":     {1},
		"twice":          {0, 0},
		"negative":       {-1},
		"of another one": {2},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPool(2, 16)
			if _, ok := p.Take(1, nil); !ok {
				t.Fatal("Take(1) = false")
			}
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "BUG: kv: ") {
					t.Errorf("Give(%v) panics with %q, want BUG: kv: …", table, s)
				}
			}()
			p.Give(table)
		})
	}
}

// TestRandomOperations compares the pool with a map of blocks to their holders.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		blocks := 1 + rng.IntN(40)
		p := NewPool(blocks, 16)
		holder := map[int32]int{}
		tables := map[int][]int32{}
		most := 0
		for op := range 400 {
			if n := rng.IntN(8); rng.IntN(2) == 0 {
				table, ok := p.Take(n, nil)
				if want := n <= blocks-len(holder); ok != want || ok && len(table) != n {
					t.Fatalf("seed %d: Take(%d) with %d of %d lent = %v, %v", seed, n, len(holder), blocks, table, ok)
				}
				for _, b := range table {
					if other, taken := holder[b]; taken || b < 0 || int(b) >= blocks {
						t.Fatalf("seed %d: block %d of %d lent to %d and to %d", seed, b, blocks, other, op)
					}
					holder[b] = op
				}
				if ok {
					tables[op] = table
				}
			} else if keys := sortedKeys(tables); len(keys) > 0 {
				k := keys[rng.IntN(len(keys))]
				for _, b := range tables[k] {
					delete(holder, b)
				}
				p.Give(tables[k])
				delete(tables, k)
			}
			most = max(most, len(holder))
			if got, want := p.Stats(), (Stats{Blocks: blocks, Lent: len(holder), Most: most}); got != want {
				t.Fatalf("seed %d: Stats() = %+v, want %+v", seed, got, want)
			}
		}
	}
}

func sortedKeys(m map[int][]int32) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
