//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/kernels"
)

// In a steady state the mirror takes nothing from the host; it does when the host's cache has changed behind its back,
// when a sequence has been computed elsewhere, and after a failure.
func TestMirror(t *testing.T) {
	for _, bf16 := range []bool{false, true} {
		l := open(t)
		h := newHalf(2, kernels.Int8, 2, 40, bf16)
		k, err := l.Compile(h.segment)
		if err != nil {
			t.Fatal(err)
		}
		seq := &sequence{table: []int32{9, 30, 2, 17}}
		step := func(what string, n, uploads int) {
			t.Helper()
			f := h.frame(n, seq)
			want := clone(f)
			h.truth(t, want)
			if err := k.Run(f); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := differ(f, want); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			got := 0
			for _, w := range l.mirror.wants {
				got += w.hi - w.lo
			}
			if got != uploads {
				t.Errorf("%s: %d blocks uploaded, want %d", what, got, uploads)
			}
			seq.len += n
		}
		step("prompt", 21, 0)
		for range 20 {
			step("decode", 1, 0)
		}
		h.truth(t, h.frame(1, seq)) // another library computes a row
		seq.len++
		step("after another library's row", 1, 1)
		step("decode", 1, 0)
		// The blocks go to another sequence, whose beginning another library computes.
		seq.len = 0
		h.truth(t, h.frame(37, seq))
		seq.len = 37
		step("another sequence", 1, 3)
		keys, _ := hostCache(h.cache, 1)
		at := 30 * h.cache.BlockSize() * len(keys) / (40 * h.cache.BlockSize())
		keys[at] ^= 1
		step("a bit of a sampled key", 1, 1)
		l.mirror.forget()
		step("after a failure", 1, 3)
		seq.len = 16
		step("sequence cut back", 1, 0)
		closed(t, k.(*kernel))
	}
}

// Sequences come and go, run here or elsewhere, in whatever company: the results are always those of kernels/ref.
func TestMirrorRandom(t *testing.T) {
	l := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 4 {
		const blocks = 30
		h := newHalf(uint64(round), kernels.Exact, 2, blocks, round%2 == 1)
		k, err := l.Compile(h.segment)
		if err != nil {
			t.Fatal(err)
		}
		var live []*sequence
		free := r.Perm(blocks)
		for range 150 {
			if len(free) >= 5 && (len(live) == 0 || r.IntN(4) == 0) {
				s := &sequence{}
				for _, b := range free[:5] {
					s.table = append(s.table, int32(b))
				}
				live, free = append(live, s), free[5:]
			}
			i := r.IntN(len(live))
			s := live[i]
			n := min(1+r.IntN(3)*r.IntN(20), 80-s.len)
			if n == 0 {
				for _, b := range s.table {
					free = append(free, int(b))
				}
				live = slices.Delete(live, i, i+1)
				continue
			}
			batch := []*sequence{s}
			if other := live[r.IntN(len(live))]; other != s && other.len+n <= 80 {
				batch = append(batch, other)
			}
			f := h.frame(n, batch...)
			want := clone(f)
			h.truth(t, want)
			if r.IntN(4) == 0 {
				h.truth(t, f)
			} else if err := k.Run(f); err != nil {
				t.Fatal(err)
			}
			if err := differ(f, want); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, s := range batch {
				s.len += n
			}
		}
		closed(t, k.(*kernel))
	}
}
