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
	race := race{score: gumbel(noiseWord(key, best)), at: at}
	var words [noiseRun + 2]uint32
	for i := 0; i < len(d.ids); i += noiseRun {
		ids := d.ids[i:min(i+noiseRun, len(d.ids))]
		rel := d.rel[i:][:len(ids)]
		if first := ids[0]; int(ids[len(ids)-1]-first) == len(ids)-1 { // no token is missing
			key.words(words[:len(ids)+2], first)
			race.run(i, rel, words[first&1:])
			continue
		}
		for j, id := range ids {
			if rel[j]+gumbelBound[32] >= race.score {
				word := noiseWord(key, id)
				race.run(i+j, rel[j:j+1], (&[1]uint32{word})[:])
			}
		}
	}
	at = race.at
	return Draw{Token: d.ids[at], LogProb: float32(d.rel[at] - logTotal(total)), Kept: len(d.ids)}
}

// noiseRun is how many tokens get their noise at once.
const noiseRun = 256

// race is the best sum of scaled logit and noise so far, and the place of its token.
type race struct {
	score float64
	at    int
}

// run lets tokens compete from a place on, with these scaled logits and random words.
func (c *race) run(at int, rel []float64, words []uint32) {
	for j, word := range words[:len(rel)] {
		if rel[j]+boundOf(word) < c.score {
			continue
		}
		if s := rel[j] + gumbel(word); s > c.score || s == c.score && at+j < c.at {
			c.score, c.at = s, at+j
		}
	}
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
	d.ids = d.ids[:d.vocab]
	n := 0
	for id, l := range logits {
		d.ids[n] = int32(id)
		if l >= -math.MaxFloat32 {
			n++
		}
	}
	d.ids = d.ids[:n]
	if p.TopK > 0 {
		d.keepLikeliest(logits, p.TopK)
	}
	for i, id := range d.ids {
		d.rel[i] = scaled(logits[id], logits[best], p.Temperature)
	}
	if p.TopP < 1 {
		total = masses(d.mass, d.rel[:len(d.ids)])
		total = d.cut(logits, min(total, uint64(math.Ceil(p.TopP*float64(total)))))
		if p.MinP > 0 {
			total = d.keepFrom(ln(p.MinP))
		}
		return total
	}
	if p.MinP > 0 {
		d.keepFrom(ln(p.MinP))
	}
	return masses(d.mass, d.rel[:len(d.ids)])
}

// scaled is a logit relative to the largest one, divided by the temperature.
func scaled(logit, top float32, temperature float64) float64 {
	return (float64(logit) - float64(top)) / temperature
}

// massLow is below what e^x of massUnit is less than one half.
const massLow = -28.5

// masses fills mass with e^x of every scaled logit in units of 1/massUnit, rounded, and returns the sum.
// Its body is expNeg's, so that there is no call for each.
func masses(mass []uint64, rel []float64) (total uint64) {
	mass = mass[:len(rel)]
	for i, x := range rel {
		m := uint64(int64(float64(expOf(parts(x))*massUnit) + 0.5))
		if x < massLow { // then m may be anything
			m = 0
		}
		mass[i] = m
		total += m
	}
	return total
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
