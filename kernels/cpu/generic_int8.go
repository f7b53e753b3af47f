package cpu

import (
	"encoding/binary"

	"troupe/kernels"
)

// The int8 products of the portable variant, several in one 64-bit multiplication. Integer sums are
// exact, so any way of adding them gives the canonical block sum.

// int8Block: sums[r-r0][c] = sum over k in lo..hi-1 of q[r][k] * w[k-lo][c], for rows r0 to r1-1, at most
// rowTile of them, and at most kernels.BlockRows inputs k. Row k of w begins at (k-lo)*stride. It takes the
// rows by threes; one or two that are left over go another way.
func int8Block(s *scratch, sums []int32, q *quantRows, r0, r1, lo, hi int, w []int8, stride, cols int) {
	left := r1 - (r1-r0)%3
	if left > r0 {
		sumTriples(s, sums[:(left-r0)*cols], q, r0, lo, hi, w, stride, cols)
	}
	for r := left; r < r1; r++ {
		sumSingle(s, sums[(r-r0)*cols:][:cols], q.row(r)[lo:hi], w, stride)
	}
}

// One row: eight weights are loaded at once as v, made unsigned, and four of them multiplied at once by
// the magnitude x of an activation, in 16-bit lanes: lane = u*x. For a positive activation u = weight +
// 128 (the sign bit flipped), for a negative one u = 127 - weight (the other bits flipped), so that
//
//	u*x = weight*activation + offset*x, with offset 128 or 127.
//
// Two such products fit a lane: 2*255*127 < 2^16. The sum of all words, modulo 2^64, still knows the
// sums of lanes 0 and 2 once those of lanes 1 and 3 are known, and these are kept apart.
const (
	evenBytes = 0x00ff00ff00ff00ff
	oddLanes  = 0x0000ffff0000ffff // of a word shifted down by one lane
	flipSign  = 0x8080808080808080
	flipValue = 0x7f7f7f7f7f7f7f7f
)

// lanes8 are running sums of eight neighbouring outputs.
type lanes8 struct {
	even, evenOdd uint64 // outputs 0, 2, 4, 6: all lanes; lanes 1 and 3 in halves of a word
	odd, oddOdd   uint64 // outputs 1, 3, 5, 7
}

// sumSingle: sums[c] = sum over k of x[k] * w[k*stride+c].
func sumSingle(s *scratch, sums []int32, x, w []int8, stride int) {
	words, cols := len(sums)/8, len(sums)
	acc := s.lanes[:words]
	clear(acc)
	offset := int32(0)
	for k := 0; k < len(x); k += 2 {
		x0, f0, o0 := magnitude(x[k])
		x1, f1, o1 := uint64(0), uint64(0), int32(0)
		row0, row1 := w[k*stride:][:cols], w[k*stride:][:cols]
		if k+1 < len(x) {
			x1, f1, o1 = magnitude(x[k+1])
			row1 = w[(k+1)*stride:][:cols]
		}
		addPair(acc, wordsOf(row0), wordsOf(row1), x0, x1, f0, f1)
		offset += o0 + o1
	}
	for i, a := range acc {
		store(sums[8*i:], a.even, a.evenOdd, offset)
		store(sums[8*i+1:], a.odd, a.oddOdd, offset)
	}
	for c := 8 * words; c < cols; c++ {
		sum := int32(0)
		for k, v := range x {
			sum += int32(v) * int32(w[k*stride+c])
		}
		sums[c] = sum
	}
}

// magnitude splits an activation in -127..127.
func magnitude(v int8) (x, flip uint64, offset int32) {
	if v < 0 {
		return uint64(-int64(v)), flipValue, -127 * int32(v)
	}
	return uint64(v), flipSign, 128 * int32(v)
}

// wordsOf looks at weights as words of eight.
func wordsOf(w []int8) [][8]byte {
	return chunks[[8]byte](w)
}

// addPair adds two inputs' products to all outputs. Two, since more would not fit the registers.
func addPair(acc []lanes8, w0, w1 [][8]byte, x0, x1, flip0, flip1 uint64) {
	w0, w1 = w0[:len(acc)], w1[:len(acc)]
	for i := range acc {
		v0 := binary.LittleEndian.Uint64(w0[i][:]) ^ flip0
		v1 := binary.LittleEndian.Uint64(w1[i][:]) ^ flip1
		even := (v0&evenBytes)*x0 + (v1&evenBytes)*x1
		odd := (v0>>8&evenBytes)*x0 + (v1>>8&evenBytes)*x1
		a := &acc[i]
		a.even += even
		a.evenOdd += even >> 16 & oddLanes
		a.odd += odd
		a.oddOdd += odd >> 16 & oddLanes
	}
}

// store writes four sums to every second element of dst.
func store(dst []int32, all, odd uint64, offset int32) {
	lane1, lane3 := odd&(1<<32-1), odd>>32
	all -= lane1<<16 + lane3<<48
	dst[0], dst[2] = int32(all)-offset, int32(lane1)-offset
	dst[4], dst[6] = int32(all>>32)-offset, int32(lane3)-offset
}

// Three rows: a word holds the activations of one input for three rows in lanes of 21 bits, and one
// multiplication by a weight does all three. A lane holds the sum of tripleRows products:
// 64*128*127 < 2^20.
const (
	laneBits   = 21
	tripleRows = 64
)

// pack fills the words of three rows of activations, as int8Block wants them.
func pack(words []uint64, a, b, c []int8) {
	n := len(words)
	a, b, c = a[:n], b[:n], c[:n]
	for k := range words {
		words[k] = uint64(int64(a[k]) + int64(b[k])<<laneBits + int64(c[k])<<(2*laneBits))
	}
}

// sumTriples: sums[r*cols+c] = sum over k of q[r0+r][lo+k] * w[k*stride+c], for len(sums)/cols rows.
// Four inputs' weights at a time are copied side by side and then meet all triples: where they lie in
// the matrix they are a power of two apart, as a rule, and would push each other out of the cache.
func sumTriples(s *scratch, sums []int32, q *quantRows, r0, lo, hi int, w []int8, stride, cols int) {
	clear(sums)
	triples := len(sums) / (3 * cols)
	words, tile := s.words[:triples*cols], s.tile[:4*cols]
	for k := 0; k < hi-lo; {
		end := min(k+tripleRows, hi-lo)
		clear(words)
		for ; k < end; k += 4 {
			for i := range min(4, end-k) {
				copy(tile[i*cols:(i+1)*cols], w[(k+i)*stride:])
			}
			for t := range triples {
				var x [4]uint64 // zero beyond the end, whatever the tile holds there
				copy(x[:], q.triple(r0/3 + t)[lo+k:lo+end])
				addFour(words[t*cols:][:cols], tile, &x)
			}
		}
		for t := range triples {
			addLanes(sums[3*t*cols:], words[t*cols:][:cols])
		}
		k = end
	}
}

// addLanes adds the lanes of a triple's words to the sums of its rows.
func addLanes(sums []int32, words []uint64) {
	n := len(words)
	sum0, sum1, sum2 := sums[:n], sums[n:][:n], sums[2*n:][:n]
	for c, word := range words {
		rest := int64(word)
		lane := rest << (64 - laneBits) >> (64 - laneBits)
		sum0[c] += int32(lane)
		rest = (rest - lane) >> laneBits
		lane = rest << (64 - laneBits) >> (64 - laneBits)
		sum1[c] += int32(lane)
		sum2[c] += int32((rest - lane) >> laneBits)
	}
}

// addFour adds four inputs' products to all outputs; w is [4 outputs].
func addFour(acc []uint64, w []int8, x *[4]uint64) {
	n := len(acc)
	w0, w1, w2, w3 := w[:n], w[n:][:n], w[2*n:][:n], w[3*n:][:n]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	for c := range acc {
		acc[c] += uint64(int64(w0[c]))*x0 + uint64(int64(w1[c]))*x1 + uint64(int64(w2[c]))*x2 + uint64(int64(w3[c]))*x3
	}
}

// A block has whole sub-blocks of tripleRows.
var _ [kernels.BlockRows % tripleRows]struct{} = [0]struct{}{}
