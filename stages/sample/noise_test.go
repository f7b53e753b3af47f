package sample

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"math"
	"slices"
	"testing"
)

// words is n random words of a key.
func words(key Key, n int) []uint32 {
	w := make([]uint32, n)
	key.Words(w)
	return w
}

// randomBytes is n random bytes of a key: those of the words that they need.
func randomBytes(key Key, n int) []uint8 {
	w, b := words(key, (n+3)/4), make([]uint8, n)
	for i := range b {
		b[i] = byteAt(w, i)
	}
	return b
}

// keyOf is the key of a test in JAX's tests/random_test.py.
func keyOf(name string) Key { return NewKey(uint64(adler32.Checksum([]byte(name)))) }

// Known answers of Random123 (kat_vectors) and of JAX's tests/random_test.py.
func TestThreefryKnownAnswers(t *testing.T) {
	for _, tt := range []struct {
		key          Key
		a, b         uint32
		wanta, wantb uint32
	}{
		{Key{0, 0}, 0, 0, 0x6b200159, 0x99ba4efe},
		{Key{math.MaxUint32, math.MaxUint32}, math.MaxUint32, math.MaxUint32, 0x1cb996fc, 0xbb002be7},
		{Key{0x13198a2e, 0x03707344}, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0},
	} {
		if a, b := tt.key.block(tt.a, tt.b); a != tt.wanta || b != tt.wantb {
			t.Errorf("key %x, counter %x %x: %x %x, want %x %x", tt.key, tt.a, tt.b, a, b, tt.wanta, tt.wantb)
		}
	}
	for _, tt := range []struct{ got, want []uint32 }{
		{words(NewKey(1701), 3), []uint32{56197195, 4200222568, 961309823}},
		{words(keyOf("bitsthreefry2x32"), 5), []uint32{1978747883, 4134381225, 3628107870, 689687174, 2788938207}},
		{words(NewKey(0), 4096)[:4], []uint32{0xfc63a4b9, 0xc96d06cd, 0x9e372011, 0x3c1036f1}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("words %v, want %v", tt.got, tt.want)
		}
	}
	for _, tt := range []struct{ got, want []uint8 }{
		{randomBytes(NewKey(1701), 3), []uint8{216, 115, 43}},
		{randomBytes(keyOf("bitsthreefry2x32"), 5), []uint8{10, 158, 82, 54, 158}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("bytes %v, want %v", tt.got, tt.want)
		}
	}
	if keep, use := NewKey(0).Split(); keep != (Key{4146024105, 967050713}) || use != (Key{2718843009, 1272950319}) {
		t.Errorf("the key of seed 0 splits into %v and %v", keep, use)
	}
}

func TestNoiseKnownAnswers(t *testing.T) {
	for i, want := range []float32{.298671, .073213, .873356, .260549, .412797} {
		near(t, fmt.Sprint("uniform ", i), float64(uniformF32(words(keyOf("uniformthreefry2x32"), 5)[i])), want, 1e-6)
	}
	for i, want := range []float32{2.06701, 0.911726, 0.145736, 0.185427, -0.00711} {
		near(t, fmt.Sprint("gumbel ", i), float64(gumbelF32(words(keyOf("gumbelthreefry2x32"), 5)[i])), want, 1e-5)
	}
}

// Keys of recorded seeds, and the chain of keys of seed 42.
func TestRecordedKeys(t *testing.T) {
	key := func(a []uint32, i int) Key { return Key{a[2*i], a[2*i+1]} }
	keys, split := golden(t, "rng", "keys").Uint32, golden(t, "rng", "split2").Uint32
	for i, seed := range golden(t, "rng", "seeds").Uint32 {
		k := NewKey(uint64(seed))
		keep, use := k.Split()
		if k != key(keys, i) || keep != key(split, 2*i) || use != key(split, 2*i+1) {
			t.Errorf("seed %d: key %v splits into %v and %v", seed, k, keep, use)
		}
	}
	for seed, want := range map[uint64]Key{4294967301: {0, 5}, 1099511627779: {0, 3}} {
		if got := NewKey(seed); got != want {
			t.Errorf("seed %d: key %v, want %v, without the upper half", seed, got, want)
		}
	}
	slot, used := golden(t, "rng", "chain_slot").Uint32, golden(t, "rng", "chain_use").Uint32
	k := NewKey(42)
	var c chains
	for step := range len(used) / 2 {
		if k != key(slot, step) {
			t.Fatalf("before step %d: key %v, want %v", step, k, key(slot, step))
		}
		var use Key
		k, use = k.Split()
		if use != key(used, step) || c.use(42, step) != use {
			t.Errorf("step %d: key %v and %v, want %v", step, use, c.use(42, step), key(used, step))
		}
	}
	if k != key(slot, len(used)/2) {
		t.Errorf("in the end: key %v, want %v", k, key(slot, len(used)/2))
	}
}

// Recorded random numbers of the key of seed 42.
func TestRecordedNoise(t *testing.T) {
	for _, n := range []int{1, 5, 128, 257} {
		rng := func(what string) string { return fmt.Sprintf("%s_%d", what, n) }
		w, b := words(NewKey(42), n), randomBytes(NewKey(42), n)
		if want := golden(t, "rng", rng("bits32")).Uint32; !slices.Equal(w, want) {
			t.Errorf("%d words: %v, want %v", n, w, want)
		}
		for i, want := range golden(t, "rng", rng("bits8")).Int32 {
			if int32(b[i]) != want {
				t.Errorf("byte %d of %d: %d, want %d", i, n, b[i], want)
			}
		}
		for _, tt := range []struct {
			file      string
			noise     func(i int) float32
			tolerance float64
		}{
			{rng("uniform_f32"), func(i int) float32 { return uniformF32(w[i]) }, 0},
			{rng("gumbel_f32"), func(i int) float32 { return gumbelF32(w[i]) }, 1e-6},
			{rng("gumbel_f32") + "_steps", func(i int) float32 { return gumbelF32(w[i]) }, 1e-6},
			{rng("uniform_bf16"), func(i int) float32 { return max(float32(b[i]>>1)/128, smallestF32) }, 0},
			{rng("gumbel_bf16"), func(i int) float32 { return gumbelBF16[b[i]>>1] }, 0},
			{rng("gumbel_bf16") + "_steps", func(i int) float32 { return steppedBF16(b[i] >> 1) }, 0},
		} {
			for i, want := range golden(t, "rng", tt.file).Float32 {
				near(t, fmt.Sprintf("%s: number %d", tt.file, i), float64(tt.noise(i)), want, tt.tolerance)
			}
		}
	}
}

// steppedBF16 is the noise with every operation rounded, as the program asks for and the compiler does
// not do.
func steppedBF16(i uint8) float32 {
	u := max(float64(i)/128, smallestF32)
	return roundBF16(float32(-ln(float64(roundBF16(float32(-ln(u)))))))
}

// Checksums of the little-endian bfloat16 values as XLA on a CPU computes them, compiled and step by step.
func TestGumbelBF16Table(t *testing.T) {
	var compiled, stepped []byte
	for i, g := range gumbelBF16 {
		compiled = binary.LittleEndian.AppendUint16(compiled, uint16(math.Float32bits(g)>>16))
		stepped = binary.LittleEndian.AppendUint16(stepped, uint16(math.Float32bits(steppedBF16(uint8(i)))>>16))
	}
	if got := crc32.ChecksumIEEE(compiled); got != 0xc6c67897 {
		t.Errorf("compiled: CRC-32 %08x, want c6c67897", got)
	}
	if got := crc32.ChecksumIEEE(stepped); got != 0x9924f384 {
		t.Errorf("every operation rounded: CRC-32 %08x, want 9924f384", got)
	}
	if lo, hi := slices.Min(gumbelBF16[:]), slices.Max(gumbelBF16[:]); lo != -4.46875 || hi != 4.84375 {
		t.Errorf("values from %v to %v, want -4.46875 to 4.84375", lo, hi)
	}
}

// The noise of whole recorded steps.
func TestRecordedGumbel0(t *testing.T) {
	for _, name := range cases {
		for j, p := range samplings {
			g := load(t, name, j)
			key := Key{g.keys[0], g.keys[1]}
			w, b := words(key, g.vocab), randomBytes(key, g.vocab)
			for i, want := range g.noise {
				if p.Sampler == JAXBF16 {
					near(t, fmt.Sprintf("%s/s%d: token %d", name, j, i), float64(gumbelBF16[b[i]>>1]), want, 0)
				} else {
					near(t, fmt.Sprintf("%s/s%d: token %d", name, j, i), float64(gumbelF32(w[i])), want, 2e-6)
				}
			}
		}
	}
}

// A chain's memory changes nothing: many seeds and steps, back and forth, against splitting anew.
func TestChainsArePure(t *testing.T) {
	anew := func(seed uint64, step int) (use Key) {
		k := NewKey(seed)
		for range step + 1 {
			k, use = k.Split()
		}
		return use
	}
	var c chains
	x := uint32(1)
	for range 5000 {
		x = x*1664525 + 1013904223
		seed, step := uint64(x>>20%100), int(x>>10%50)
		if got, want := c.use(seed, step), anew(seed, step); got != want {
			t.Fatalf("seed %d, step %d: key %v, want %v", seed, step, got, want)
		}
	}
}

// The bound must hold for every number of leading ones, where it is tightest and at random.
func TestGumbelBound(t *testing.T) {
	check := func(w uint32) {
		if b := boundOf(w); gumbel(w) > b || float64(gumbelF32(w)) > b {
			t.Errorf("word %08x: noise %v and %v, above the bound %v", w, gumbel(w), gumbelF32(w), b)
		}
	}
	for ones := range 33 {
		low := uint32(math.MaxUint32) << (32 - ones) // the fewest and the most with so many leading ones
		check(low)
		check(low | uint32(1)<<max(31-ones, 0) - 1)
	}
	for _, w := range words(NewKey(1), 100000) {
		check(w)
	}
}
