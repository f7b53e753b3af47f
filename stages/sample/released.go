package sample

import (
	"fmt"
	"math"
	"slices"
)

// The released sampler: xai-org/grok-1 runners.py, sample_token and top_p_filter, and jax.random of
// JAX 0.4.25. The program asks for bfloat16 throughout; compiled, it keeps float32 within what XLA fuses.
// JAXBF16 rounds where the compiled program does, found by replaying recorded samplings of it, all of which
// agree in every token, count and probability: at the scaled logits, the probabilities, the running sums
// and the noise. Temperature, nucleus and the sum of logit and noise stay float32. JAXF32 rounds nowhere.

// released is the memory of the jax samplers.
type released struct {
	chains chains
	scaled []float32 // [vocab] logits over temperature, -Inf where the filter took the token
	sorted []float32 // [vocab]
	probs  []float32 // [vocab]
	words  []uint32  // [vocab] random words
}

// round rounds to the type of the logits, where the released program does.
func (s Sampler) round(f float32) float32 {
	if s == JAXBF16 {
		return roundBF16(f)
	}
	return f
}

func (d *Drawer) drawReleased(logits []float32, p Params, step int) (Draw, error) {
	if err := d.filterReleased(logits, p); err != nil {
		return Draw{}, err
	}
	r := d.released
	key := r.chains.use(p.Seed, step)
	var token int32
	if p.Sampler == JAXBF16 {
		token = r.noisyBF16(d.ids, key)
	} else {
		token = r.noisyF32(d.ids, key)
	}
	return Draw{Token: token, LogProb: float32(ln(float64(r.probs[token]))), Kept: len(d.ids)}, nil
}

func (d *Drawer) topReleased(logits []float32, p Params, n int) ([]int32, []float32, error) {
	if err := d.filterReleased(logits, p); err != nil {
		return nil, nil, err
	}
	probs := d.released.probs
	d.keepLikeliest(probs, n)
	ids := slices.Clone(d.ids)
	slices.SortStableFunc(ids, func(a, b int32) int { return descending(probs[a], probs[b]) })
	top := make([]float32, len(ids))
	for i, id := range ids {
		top[i] = probs[id]
	}
	return ids, top, nil
}

// filterReleased computes the scaled logits, the tokens kept and their probabilities. The reference gives
// tokens filtered out a logit of -1e10, which none of its noise can lift above the others.
func (d *Drawer) filterReleased(logits []float32, p Params) error {
	if d.released == nil {
		f := make([]float32, 3*d.vocab)
		d.released = &released{
			scaled: f[:d.vocab], sorted: f[d.vocab : 2*d.vocab], probs: f[2*d.vocab:],
			words: make([]uint32, d.vocab),
		}
	}
	r, s := d.released, p.Sampler
	temperature := float32(p.Temperature)
	for i, l := range logits {
		r.scaled[i] = s.round(s.round(l) / temperature)
		if v := r.scaled[i]; v > math.MaxFloat32 || v < -math.MaxFloat32 && l >= -math.MaxFloat32 {
			return fmt.Errorf("sample: token %d: logit %v over temperature %v is too large for sampler %v: use 0 or a higher temperature", i, l, p.Temperature, s)
		}
	}
	least := r.nucleus(p, d.keys)
	d.ids = d.ids[:0]
	for i, v := range r.scaled {
		if v >= least && v >= -math.MaxFloat32 {
			d.ids = append(d.ids, int32(i))
		} else {
			r.scaled[i] = float32(math.Inf(-1))
		}
	}
	s.softmax(r.probs, r.scaled)
	return nil
}

// nucleus is the least scaled logit kept: in ascending order, the first whose running sum of
// probabilities reaches 1 - TopP. Where rounding keeps the sum below that to the end nothing is filtered.
// keys [vocab] is scratch.
func (r *released) nucleus(p Params, keys []uint32) float32 {
	limit := 1 - float32(p.TopP)
	if limit <= 0 {
		return float32(math.Inf(-1))
	}
	for i, v := range r.scaled {
		keys[i] = ordered(v)
	}
	for i, k := range sortKeys(keys, r.words) {
		r.sorted[i] = unordered(k)
	}
	p.Sampler.softmax(r.probs, r.sorted)
	p.Sampler.cumulate(r.probs)
	for i, sum := range r.probs {
		if sum >= limit {
			return r.sorted[i]
		}
	}
	return float32(math.Inf(-1))
}

// softmax writes the softmax of x to probs. The sum is taken in float64, since XLA's order is not ours.
// XLA has no subnormal numbers.
func (s Sampler) softmax(probs, x []float32) {
	top, sum := float32(math.Inf(-1)), 0.0
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	for i, v := range x {
		probs[i] = 0
		if below := float64(v - top); below >= expLow {
			probs[i] = flush(float32(expOf(parts(below))))
			sum += float64(probs[i])
		}
	}
	total := float32(sum)
	for i := range probs {
		probs[i] = s.round(flush(probs[i] / total))
	}
}

// flush gives 0 for a subnormal number that is not negative.
func flush(f float32) float32 {
	if f < smallestF32 {
		return 0
	}
	return f
}

// cumulate replaces x by its running sums, added in the order of jax.lax.associative_scan: sums of
// neighbours, of their sums and so on, then back down for the places between.
func (s Sampler) cumulate(x []float32) {
	stride := 1
	for ; 2*stride <= len(x); stride *= 2 {
		for i := 2*stride - 1; i < len(x); i += 2 * stride {
			x[i] = s.round(x[i-stride] + x[i])
		}
	}
	for ; stride >= 1; stride /= 2 {
		for i := 3*stride - 1; i < len(x); i += 2 * stride {
			x[i] = s.round(x[i-stride] + x[i])
		}
	}
}

// noisyF32 is the token of the largest sum of scaled logit and noise, ties to the lowest id.
func (r *released) noisyF32(ids []int32, key Key) (token int32) {
	key.Words(r.words)
	best := float32(math.Inf(-1))
	for _, id := range ids {
		v, word := r.scaled[id], r.words[id]
		if v+float32(boundOf(word)) < best {
			continue
		}
		if score := v + gumbelF32(word); score > best {
			best, token = score, id
		}
	}
	return token
}

// noisyBF16 is noisyF32 with the noise of bfloat16.
func (r *released) noisyBF16(ids []int32, key Key) (token int32) {
	words := r.words[:(len(r.words)+3)/4] // four bytes each
	key.Words(words)
	best := float32(math.Inf(-1))
	for _, id := range ids {
		noise := gumbelBF16[byteAt(words, int(id))>>1]
		if score := r.scaled[id] + noise; score > best {
			best, token = score, id
		}
	}
	return token
}
