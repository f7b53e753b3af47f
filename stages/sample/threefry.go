package sample

import "math/bits"

// Key is a threefry key. It names an endless sequence of random words.
type Key [2]uint32

// NewKey is the reference's jax.random.PRNGKey: without 64-bit mode it loses the upper half of the seed.
func NewKey(seed uint64) Key { return Key{0, uint32(seed)} }

// block is threefry2x32 with 20 rounds: a bijection of the counter (a, b) under the key.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), as in JAX's prng.py.
func (k Key) block(a, b uint32) (uint32, uint32) {
	k0, k1 := k[0], k[1]
	k2 := k0 ^ k1 ^ 0x1bd11bda
	a, b = quad0(a+k0, b+k1)
	a, b = quad1(a+k1, b+k2+1)
	a, b = quad0(a+k2, b+k0+2)
	a, b = quad1(a+k0, b+k1+3)
	a, b = quad0(a+k1, b+k2+4)
	return a + k2, b + k0 + 5
}

// words fills dst with the words of blocks (0, n/2), (0, n/2 + 1) and so on, two of each.
func (k Key) words(dst []uint32, n int32) {
	k0, k1 := k[0], k[1]
	k2 := k0 ^ k1 ^ 0x1bd11bda
	counter := uint32(n) >> 1
	for ; len(dst) >= 2; dst = dst[2:] {
		a, b := quad0(k0, counter+k1)
		a, b = quad1(a+k1, b+k2+1)
		a, b = quad0(a+k2, b+k0+2)
		a, b = quad1(a+k0, b+k1+3)
		a, b = quad0(a+k1, b+k2+4)
		dst[0], dst[1] = a+k2, b+k0+5
		counter++
	}
}

// quad0 and quad1 are four rounds with one of the two sets of rotations.
func quad0(a, b uint32) (uint32, uint32) {
	a += b
	b = bits.RotateLeft32(b, 13) ^ a
	a += b
	b = bits.RotateLeft32(b, 15) ^ a
	a += b
	b = bits.RotateLeft32(b, 26) ^ a
	a += b
	return a, bits.RotateLeft32(b, 6) ^ a
}

func quad1(a, b uint32) (uint32, uint32) {
	a += b
	b = bits.RotateLeft32(b, 17) ^ a
	a += b
	b = bits.RotateLeft32(b, 29) ^ a
	a += b
	b = bits.RotateLeft32(b, 16) ^ a
	a += b
	return a, bits.RotateLeft32(b, 24) ^ a
}

// Words fills dst with the random words of an array of that length, as jax.random.bits gives them with
// jax_threefry_partitionable off: the counters 0 to n-1 are cut in two halves, word i of the first half
// and of the second come from one block, and an odd n is padded with a counter of 0. The words of a
// shorter array are not a prefix of those of a longer one.
func (k Key) Words(dst []uint32) {
	n := len(dst)
	half := (n + 1) / 2
	for i := range n / 2 {
		dst[i], dst[half+i] = k.block(uint32(i), uint32(half+i))
	}
	if n%2 == 1 {
		dst[half-1], _ = k.block(uint32(half-1), 0)
	}
}

// Split derives two keys, as jax.random.split does: one to split again, one to draw with.
func (k Key) Split() (keep, use Key) {
	var w [4]uint32
	k.Words(w[:])
	return Key{w[0], w[1]}, Key{w[2], w[3]}
}

// chains remember where in their sequence of splits the seeds in use are, so that a step costs one split.
// What they return does not depend on what they remember.
type chains struct {
	links [64]chain
	next  int // the one to give up
}

// chain is the key that is kept before a step of a seed.
type chain struct {
	seed uint32
	step int // 0: unused
	keep Key
}

// use is the reference's key for a step: the seed's key is split for the first token and again for each
// further one; the first half is carried on, the second draws.
func (c *chains) use(seed uint64, step int) Key {
	if step == 0 {
		_, use := NewKey(seed).Split()
		return use
	}
	low := uint32(seed)
	var best *chain
	for i := range c.links {
		l := &c.links[i]
		if l.seed == low && l.step > 0 && l.step <= step && (best == nil || l.step > best.step) {
			best = l
		}
	}
	if best == nil {
		best = &c.links[c.next]
		c.next = (c.next + 1) % len(c.links)
		*best = chain{seed: low, keep: NewKey(seed)}
	}
	var use Key
	for {
		var keep Key
		keep, use = best.keep.Split()
		if best.step == step {
			return use
		}
		best.keep, best.step = keep, best.step+1
	}
}
