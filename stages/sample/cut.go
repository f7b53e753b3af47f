package sample

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
// (a radix selection), and what lies below is dropped at each. The steps taken do not matter, because
// whole numbers add up alike in any order.
func (d *Drawer) cut(values []float32, target uint64) (total uint64) {
	for i, id := range d.ids {
		k := ordered(values[id])
		d.keys[i] = k
		d.hist[k>>21] += d.mass[i]
	}
	last := uint32(0) // the key of the run's last token, as far as it is known
	for _, digit := range [...]struct{ shift, bits uint }{{21, 11}, {10, 11}, {0, 10}} {
		if digit.shift < 21 {
			d.weighDigits(last, digit.shift, digit.bits)
		}
		b := uint32(1)<<digit.bits - 1
		for d.hist[b] < target { // target becomes what is missing from tokens of the last's digits
			target -= d.hist[b]
			b--
		}
		last |= b << digit.shift
		clear(d.hist[:])
		n := 0
		for i, k := range d.keys[:len(d.ids)] {
			if k >= last {
				d.move(n, i)
				n++
			}
		}
		d.ids = d.ids[:n]
	}
	n := 0
	for i, k := range d.keys[:len(d.ids)] {
		if k == last { // of equal tokens the first ones, as many as it takes
			if target == 0 {
				continue
			}
			target -= min(target, d.mass[i])
		}
		total += d.mass[i]
		d.move(n, i)
		n++
	}
	d.ids = d.ids[:n]
	return total
}

// weighDigits adds masses by a digit of the keys that have the digits of last above it.
func (d *Drawer) weighDigits(last uint32, shift, bits uint) {
	above := last >> shift >> bits
	for i := range d.ids {
		if k := d.keys[i] >> shift; k>>bits == above {
			d.hist[k&(1<<bits-1)] += d.mass[i]
		}
	}
}

// move copies the listed token from one place to another.
func (d *Drawer) move(to, from int) {
	d.ids[to], d.rel[to], d.mass[to], d.keys[to] = d.ids[from], d.rel[from], d.mass[from], d.keys[from]
}
