package sample

import "math"

// keepLikeliest keeps the n tokens of the largest values, ties to the lower ids.
func (d *Drawer) keepLikeliest(values []float32, n int) {
	if n >= len(d.ids) {
		return
	}
	for i := range d.ids {
		d.mass[i] = 1
	}
	d.cut(values, uint64(n))
}

// cut keeps the shortest run of tokens, in order of value descending and id ascending, whose mass is at
// least target, and returns that mass. values is indexed by token; tokens of equal values have equal
// masses; target is 1 up to the sum of masses.
//
// Nothing is sorted: the value at which the run ends is found digit by digit, with the mass of each digit
// (a radix selection). The steps taken do not matter, because whole numbers add up alike in any order.
func (d *Drawer) cut(values []float32, target uint64) (total uint64) {
	for i, id := range d.ids {
		d.keys[i] = ordered(values[id])
	}
	var last, known uint32 // the key of the run's last token: digits found so far, and where they are
	for _, digit := range [...]struct{ shift, bits uint }{{21, 11}, {10, 11}, {0, 10}} {
		clear(d.hist[:])
		for i := range d.ids {
			if k := d.keys[i]; k&known == last {
				d.hist[k>>digit.shift&(1<<digit.bits-1)] += d.mass[i]
			}
		}
		b := uint32(1)<<digit.bits - 1
		for d.hist[b] < target {
			target -= d.hist[b]
			b--
		}
		last |= b << digit.shift
		known |= (1<<digit.bits - 1) << digit.shift
	}
	missing := target // of the tokens that equal the last one
	n := 0
	for i := range d.ids {
		k := d.keys[i]
		if k < last || k == last && missing == 0 {
			continue
		}
		if k == last {
			missing -= min(missing, d.mass[i])
		}
		total += d.mass[i]
		d.ids[n], d.rel[n], d.mass[n] = d.ids[i], d.rel[i], d.mass[i]
		n++
	}
	d.ids = d.ids[:n]
	return total
}

// ordered maps float32 numbers to integers of the same order, -0 and 0 to the same.
func ordered(f float32) uint32 {
	if f == 0 {
		f = 0 // not -0
	}
	u := math.Float32bits(f)
	if u>>31 == 1 {
		return ^u
	}
	return u | 1<<31
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
