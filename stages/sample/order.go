package sample

import "math"

// ordered maps float32 numbers to integers of the same order, -0 and 0 to the same. No branches: signs come
// as they come.
func ordered(f float32) uint32 {
	u := math.Float32bits(f + 0) // -0 + 0 is 0
	return u ^ (uint32(int32(u)>>31) | 1<<31)
}

// unordered undoes ordered.
func unordered(k uint32) float32 {
	if k>>31 == 0 {
		return math.Float32frombits(^k)
	}
	return math.Float32frombits(k &^ (1 << 31))
}

// sortKeys sorts keys, by their low digit first, and uses tmp of the same length; the result is in one of
// the two. Digits that all keys share, such as bfloat16's low bits, cost no pass.
func sortKeys(keys, tmp []uint32) []uint32 {
	for _, shift := range [...]uint{0, 11, 22} {
		var next [1 << 11]int32
		for _, k := range keys {
			next[k>>shift&(1<<11-1)]++
		}
		if len(keys) > 0 && int(next[keys[0]>>shift&(1<<11-1)]) == len(keys) {
			continue
		}
		at := int32(0)
		for digit, n := range next {
			next[digit] = at
			at += n
		}
		for _, k := range keys {
			digit := k >> shift & (1<<11 - 1)
			tmp[next[digit]] = k
			next[digit]++
		}
		keys, tmp = tmp, keys
	}
	return keys
}

// descending compares for sorting.
func descending(a, b float32) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}
