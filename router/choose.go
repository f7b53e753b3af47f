package router

import (
	"cmp"
	"math/bits"
	"slices"
)

// Place is where a row is. What is drawn for a row depends on that alone, so that neither its batch nor its
// neighbours matter (N3).
type Place struct {
	Layer    int
	Position int // of the token in its sequence
}

// scratch is memory for one row at a time.
type scratch struct {
	probs []float32
	logs  []float64
	taken []bool   // by expert
	masks []bool   // by expert
	free  []int32  // experts
	rest  []Choice // not chosen
}

// choose writes the experts of one row into best, best first, ties to the lower index, and returns it resized.
// probs [experts] is the row's softmax. The rule must fit so many experts.
func (r *Rule) choose(probs []float32, at Place, best []Choice, s *scratch) ([]Choice, error) {
	if r.plain() {
		return topK(probs, r.Count, best)
	}
	if r.Temperature > 0 || r.Noise > 0 {
		probs = r.adjust(probs, at, s)
	}
	best, err := topK(probs, len(probs), best)
	if err != nil {
		return best, err
	}
	r.take(best, at, s)
	n := partition(best, s)
	gates := best[:n]
	if r.Renormalise {
		renormalise(gates)
	}
	for i := range gates {
		gates[i].Expert = r.computes(gates[i].Expert)
	}
	if !r.observe {
		return gates, nil
	}
	for i := n; i < len(best); i++ {
		best[i].Gate = 0
	}
	return best, nil
}

// take marks the experts that a row gets; ranked has all of them, likeliest first.
func (r *Rule) take(ranked []Choice, at Place, s *scratch) {
	s.taken = resize(s.taken, len(ranked))
	clear(s.taken)
	for _, e := range r.Force {
		s.taken[e] = true
	}
	s.masks = resize(s.masks, len(ranked))
	clear(s.masks)
	for _, e := range r.Mask {
		s.masks[e] = true
	}
	n := r.count(ranked, s.masks) - len(r.Force)
	s.free = s.free[:0]
	switch r.How {
	case Random, RoundRobin:
		for e := range ranked { // in order of experts
			s.ifFree(int32(e))
		}
		if r.How == Random {
			shuffle(s.free, n, r.Seed, at)
		} else {
			rotate(s.free, n, at)
		}
	default:
		for _, c := range ranked {
			s.ifFree(c.Expert)
		}
	}
	for _, e := range s.free[:min(max(n, 0), len(s.free))] {
		s.taken[e] = true
	}
}

// ifFree takes note of an expert that is neither forced nor masked.
func (s *scratch) ifFree(e int32) {
	if !s.taken[e] && !s.masks[e] {
		s.free = append(s.free, e)
	}
}

// count is how many experts a row gets, forced ones included.
func (r *Rule) count(ranked []Choice, masks []bool) int {
	n := r.Count
	switch r.How {
	case TopP:
		n = r.reaching(ranked, masks)
	case Threshold:
		n = r.above(ranked, masks)
	default:
		return n
	}
	if r.Max > 0 {
		n = min(n, r.Max)
	}
	return max(n, r.Min)
}

// reaching is how many of the likeliest it takes to come to Share of the sum.
func (r *Rule) reaching(ranked []Choice, masks []bool) (n int) {
	total, sum := 0.0, 0.0
	for _, c := range ranked {
		if !masks[c.Expert] {
			total += float64(c.Gate)
		}
	}
	for _, c := range ranked {
		if masks[c.Expert] {
			continue
		}
		n++
		if sum += float64(c.Gate); sum >= r.Share*total {
			break
		}
	}
	return n
}

// above is how many are at least Share times as likely as the likeliest.
func (r *Rule) above(ranked []Choice, masks []bool) (n int) {
	least := 0.0
	for _, c := range ranked {
		if masks[c.Expert] {
			continue
		}
		if n == 0 {
			least = r.Share * float64(c.Gate)
		}
		if float64(c.Gate) < least {
			break
		}
		n++
	}
	return n
}

// partition puts the taken ones first; both parts stay in order.
func partition(ranked []Choice, s *scratch) (n int) {
	s.rest = s.rest[:0]
	for _, c := range ranked {
		if s.taken[c.Expert] {
			ranked[n] = c
			n++
		} else {
			s.rest = append(s.rest, c)
		}
	}
	copy(ranked[n:], s.rest)
	return n
}

func renormalise(gates []Choice) {
	sum := float32(0)
	for _, c := range gates {
		sum += c.Gate
	}
	if sum > 0 {
		for i := range gates {
			gates[i].Gate /= sum
		}
	}
}

// computes is the expert that computes what was chosen for one.
func (r *Rule) computes(e int32) int32 {
	at, found := slices.BinarySearchFunc(r.Replace, int(e), func(p Replacement, e int) int { return cmp.Compare(p.From, e) })
	if found {
		return int32(r.Replace[at].To)
	}
	return e
}

// shuffle brings n of a list to its front, at random.
func shuffle(list []int32, n int, seed uint64, at Place) {
	g := newStream(seed, at)
	for i := range min(n, len(list)-1) {
		high, _ := bits.Mul64(g.next(), uint64(len(list)-i))
		j := i + int(high)
		list[i], list[j] = list[j], list[i]
	}
}

// rotate brings the n whose turn it is to the front: each position goes on where the one before it ended, each
// layer one further than the layer before it.
func rotate(list []int32, n int, at Place) {
	if n < 1 || len(list) == 0 {
		return
	}
	first := (at.Position%len(list)*n + at.Layer) % len(list)
	slices.Reverse(list[:first])
	slices.Reverse(list[first:])
	slices.Reverse(list)
}
