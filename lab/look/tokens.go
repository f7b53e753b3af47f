package look

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"troupe/router"
)

// maxTallies bounds the counts of tokens in memory, of 4 bytes.
const maxTallies = 1 << 28

// Tokens counts which tokens the experts of some layers get. Use [NewTokens].
type Tokens struct {
	layers  []int
	experts int
	first   bool
	rows    []int64 // [layers]
	load    []int64 // [layers, experts]
	kinds   map[int32]*kind
}

// kind is a token of the vocabulary.
type kind struct {
	seen []uint32 // [layers]: how often it was routed there
	uses []uint32 // [layers, experts]
}

// NewTokens counts for these layers of a model with so many experts: first, or all that a token used.
func NewTokens(layers []int, experts int, first bool) *Tokens {
	return &Tokens{layers: layers, experts: experts, first: first, rows: make([]int64, len(layers)),
		load: make([]int64, len(layers)*experts), kinds: map[int32]*kind{}}
}

// Add counts a token. It fails when the counts of all kinds of tokens would take more than 1 GiB.
func (t *Tokens) Add(token int32, p router.Path) error {
	k := t.kinds[token]
	if k == nil {
		n := len(t.kinds) + 1
		if n*len(t.layers)*(t.experts+1) > maxTallies {
			return fmt.Errorf("look: %d kinds of tokens in %d layers of %d experts take more than %d MB: look at one layer", n, len(t.layers), t.experts, 4*maxTallies>>20)
		}
		k = &kind{seen: make([]uint32, len(t.layers)), uses: make([]uint32, len(t.layers)*t.experts)}
		t.kinds[token] = k
	}
	for i, l := range t.layers {
		experts, _ := p.At(l)
		if len(experts) == 0 {
			continue
		}
		if t.first {
			experts = experts[:1]
		}
		t.rows[i]++
		k.seen[i]++
		for _, e := range experts {
			t.load[i*t.experts+int(e)]++
			k.uses[i*t.experts+int(e)]++
		}
	}
	return nil
}

// TokenUse is how often an expert got a token.
type TokenUse struct {
	Token    int32
	Used     int64   // as often
	Seen     int64   // of as many
	Expected float64 // if it got the token as often as any other
	// Surprise is Dunning's log-likelihood ratio G² (1993), distributed as χ² with one degree of freedom if the expert
	// takes this token as often as any other.
	Surprise float64
}

// Lift is how many times as often as expected.
func (u TokenUse) Lift() float64 { return float64(u.Used) / u.Expected }

// Top are the n tokens that an expert of the i-th of the layers gets most above expectation, the most surprising
// first; those that it gets no more often than expected are left out.
func (t *Tokens) Top(i, expert, n int) []TokenUse {
	if t.rows[i] == 0 {
		return nil
	}
	at := i*t.experts + expert
	part := float64(t.load[at]) / float64(t.rows[i])
	var list []TokenUse
	for token, k := range t.kinds {
		u := TokenUse{Token: token, Used: int64(k.uses[at]), Seen: int64(k.seen[i])}
		u.Expected = part * float64(u.Seen)
		if float64(u.Used) <= u.Expected {
			continue
		}
		u.Surprise = surprise(float64(u.Used), float64(u.Seen), part)
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b TokenUse) int {
		return cmp.Or(cmp.Compare(b.Surprise, a.Surprise), cmp.Compare(a.Token, b.Token))
	})
	return list[:min(n, len(list))]
}

// surprise is 2 (k ln(k/E) + (n-k) ln((n-k)/(n-E))), E = p n.
func surprise(k, n, p float64) float64 {
	term := func(got, want float64) float64 {
		if got <= 0 {
			return 0
		}
		return got * math.Log(got/want)
	}
	return 2 * (term(k, p*n) + term(n-k, (1-p)*n))
}
