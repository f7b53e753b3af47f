package look

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"troupe/lab/trace"
	"troupe/router"
)

// Diff compares two runs. Use [NewDiff].
type Diff struct {
	A, B      *Counts // of all documents of each
	Documents int     // that both have
	Alike     int     // of them, those with the same tokens
	// What follows is of tokens with the same text before them, which both runs have routed.
	Rows    []int64   // [layers]
	Changed []int64   // [layers]: those whose set of experts is another
	First   []int64   // [layers]: those whose likeliest expert is another
	Moved   []float64 // [layers]: sum of how far their gates are apart (total variation of gates divided by their sum)

	keep int
	most []Change // ascending
}

// Change is a token with other experts in the second run.
type Change struct {
	Document int // number in the order in which they were added
	ID       string
	Position int
	Token    int32
	Layers   int     // with another set of experts
	Moved    float64 // over all layers, 0 to their number
	Before   []int32 // tokens in front of it, a few
	After    []int32
}

// around is how many tokens before and after a change are kept with it.
const around = 6

// NewDiff compares runs of models with the same sizes, and keeps so many tokens that changed most.
func NewDiff(a, b trace.Header, keep int) (*Diff, error) {
	if a.NumLayers != b.NumLayers || a.NumExperts != b.NumExperts {
		return nil, fmt.Errorf("look: %d layers of %d experts against %d of %d: want two runs of models with the same sizes", a.NumLayers, a.NumExperts, b.NumLayers, b.NumExperts)
	}
	first, err := NewCounts(a.NumLayers, a.NumExperts)
	if err != nil {
		return nil, err
	}
	second, err := NewCounts(a.NumLayers, a.NumExperts)
	n := a.NumLayers
	return &Diff{A: first, B: second, Rows: make([]int64, n), Changed: make([]int64, n), First: make([]int64, n), Moved: make([]float64, n), keep: keep}, err
}

// Compare compares a document in both runs, token by token as far as the texts are the same.
func (d *Diff) Compare(a, b *trace.Doc) {
	same := 0
	for same < min(len(a.Tokens), len(b.Tokens)) && a.Tokens[same] == b.Tokens[same] {
		same++
	}
	if len(a.Tokens) == same && len(b.Tokens) == same {
		d.Alike++
	}
	for i, j := 0, 0; i < len(a.Rows) && j < len(b.Rows); {
		p, q := &a.Rows[i], &b.Rows[j]
		switch {
		case max(p.Position, q.Position) >= same:
			i = len(a.Rows)
		case p.Position < q.Position:
			i++
		case p.Position > q.Position:
			j++
		default:
			d.compare(Change{Document: d.Documents, ID: a.ID, Position: p.Position, Token: p.Token}, a.Tokens[:same], p.Path, q.Path)
			i, j = i+1, j+1
		}
	}
	d.Documents++
}

// compare compares a token of a text in both runs.
func (d *Diff) compare(c Change, text []int32, a, b router.Path) {
	for l := range d.A.Layers {
		ea, ga := a.At(l)
		eb, gb := b.At(l)
		if len(ea) == 0 || len(eb) == 0 {
			continue
		}
		d.Rows[l]++
		if ea[0] != eb[0] {
			d.First[l]++
		}
		if !sameSet(ea, eb) {
			d.Changed[l]++
			c.Layers++
		}
		moved := apart(ea, ga, eb, gb)
		d.Moved[l] += moved
		c.Moved += moved
	}
	if c.Layers == 0 || d.keep == 0 || len(d.most) == d.keep && compareChanges(c, d.most[0]) < 0 {
		return
	}
	c.Before = slices.Clone(text[max(c.Position-around, 0):c.Position])
	c.After = slices.Clone(text[c.Position+1 : min(c.Position+1+around, len(text))])
	at, _ := slices.BinarySearchFunc(d.most, c, compareChanges)
	d.most = slices.Insert(d.most, at, c)
	if len(d.most) > d.keep {
		d.most = slices.Delete(d.most, 0, 1)
	}
}

// compareChanges orders by how much changed; of equals the first one counts as more.
func compareChanges(a, b Change) int {
	return cmp.Or(cmp.Compare(a.Moved, b.Moved), cmp.Compare(a.Layers, b.Layers), cmp.Compare(b.Document, a.Document), cmp.Compare(b.Position, a.Position))
}

// Most are the tokens that changed most, the largest change first.
func (d *Diff) Most() []Change {
	list := slices.Clone(d.most)
	slices.Reverse(list)
	return list
}

// sameSet tells whether two lists without repetition have the same elements.
func sameSet(a, b []int32) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(e int32) bool { return !slices.Contains(b, e) })
}

// apart is the total variation of two rows of gates, each divided by its sum; 0 where one sums to nothing.
func apart(ea []int32, ga []float32, eb []int32, gb []float32) float64 {
	sa, sb := sum(ga), sum(gb)
	if !(sa > 0 && sb > 0) || math.IsInf(sa+sb, 0) {
		return 0
	}
	tv := 0.0
	for i, e := range ea {
		other := 0.0
		if j := slices.Index(eb, e); j >= 0 {
			other = float64(gb[j]) / sb
		}
		tv += math.Abs(float64(ga[i])/sa - other)
	}
	for j, e := range eb {
		if !slices.Contains(ea, e) {
			tv += math.Abs(float64(gb[j]) / sb)
		}
	}
	return tv / 2
}

func sum(gates []float32) float64 {
	s := 0.0
	for _, g := range gates {
		s += float64(g)
	}
	return s
}
