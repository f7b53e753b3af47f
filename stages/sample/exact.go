package sample

import (
	"math"
	"slices"
)

// drawExact draws by the largest scaled logit plus noise. The noise of token i is a function of
// (seed, position, i): with key = threefry(seed)(position), it is gumbel of word i mod 2 of
// threefry(key)(0, i/2).
func (d *Drawer) drawExact(logits []float32, best int32, p Params, position int) Draw {
	total := d.filter(logits, best, p)
	seed := Key{uint32(p.Seed >> 32), uint32(p.Seed)}
	var key Key
	key[0], key[1] = seed.block(uint32(uint64(position)>>32), uint32(position))

	// The likeliest token goes first: most others then fall short by their bounds alone. That spares
	// work and decides nothing, because equal scores go to the lower id.
	at, _ := slices.BinarySearch(d.ids, best)
	score := gumbel(noiseWord(key, best))
	var pair [2]uint32
	block := int32(-1)
	for i, id := range d.ids {
		rel := d.rel[i]
		if rel+gumbelBound[32] < score {
			continue
		}
		if id>>1 != block {
			block = id >> 1
			pair[0], pair[1] = key.block(0, uint32(block))
		}
		word := pair[id&1]
		if rel+boundOf(word) < score {
			continue
		}
		if s := rel + gumbel(word); s > score || s == score && i < at {
			score, at = s, i
		}
	}
	return Draw{Token: d.ids[at], LogProb: float32(d.rel[at] - logTotal(total)), Kept: len(d.ids)}
}

func noiseWord(key Key, id int32) uint32 {
	a, b := key.block(0, uint32(id)>>1)
	if id&1 == 1 {
		return b
	}
	return a
}

// logTotal is the logarithm of the sum of e^rel, from the sum of masses.
func logTotal(total uint64) float64 { return ln(float64(total) * (1.0 / massUnit)) }

func (d *Drawer) topExact(logits []float32, best int32, p Params, n int) ([]int32, []float32) {
	logSum := logTotal(d.filter(logits, best, p))
	d.keepLikeliest(logits, n)
	ids := slices.Clone(d.ids)
	slices.SortStableFunc(ids, func(a, b int32) int { return descending(logits[a], logits[b]) })
	probs := make([]float32, len(ids))
	for i, id := range ids {
		probs[i] = float32(expNeg(min(0, scaled(logits[id], logits[best], p.Temperature)-logSum)))
	}
	return ids, probs
}

// filter lists the tokens that may be drawn, and returns the sum of their masses. best has the largest
// logit.
func (d *Drawer) filter(logits []float32, best int32, p Params) (total uint64) {
	d.ids = d.ids[:0]
	for id, l := range logits {
		if l >= -math.MaxFloat32 {
			d.ids = append(d.ids, int32(id))
		}
	}
	if p.TopK > 0 {
		d.keepLikeliest(logits, p.TopK)
	}
	for i, id := range d.ids {
		d.rel[i] = scaled(logits[id], logits[best], p.Temperature)
		d.mass[i] = massOf(d.rel[i])
		total += d.mass[i]
	}
	if p.TopP < 1 {
		total = d.cut(logits, min(total, uint64(math.Ceil(p.TopP*float64(total)))))
	}
	if p.MinP > 0 {
		total = d.keepFrom(ln(p.MinP))
	}
	return total
}

// scaled is a logit relative to the largest one, divided by the temperature.
func scaled(logit, top float32, temperature float64) float64 {
	return (float64(logit) - float64(top)) / temperature
}

func massOf(rel float64) uint64 {
	if rel < -28.5 { // e^-28.5 of massUnit is below one half
		return 0
	}
	return uint64(int64(float64(expNeg(rel)*massUnit) + 0.5))
}

// keepFrom keeps the tokens of at least this scaled logit, and returns the sum of their masses.
func (d *Drawer) keepFrom(rel float64) (total uint64) {
	n := 0
	for i := range d.ids {
		if d.rel[i] >= rel {
			d.move(n, i)
			total += d.mass[n]
			n++
		}
	}
	d.ids = d.ids[:n]
	return total
}
