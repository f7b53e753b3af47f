package look

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/lab/trace"
	"troupe/router"
)

const layers, experts = 3, 6

// text makes a document with random routing; some rows are missing, and some layers use no expert.
func text(rng *rand.Rand, id string, tokens int) *trace.Doc {
	d := &trace.Doc{ID: id}
	for at := range tokens {
		d.Tokens = append(d.Tokens, int32(rng.IntN(5)))
		if rng.IntN(8) == 0 {
			continue
		}
		p := router.Path{Start: []int32{0}}
		for range layers {
			for _, e := range rng.Perm(experts)[:rng.IntN(4)] {
				p.Expert, p.Gate = append(p.Expert, int32(e)), append(p.Gate, rng.Float32())
			}
			p.Start = append(p.Start, int32(len(p.Expert)))
		}
		d.Rows = append(d.Rows, router.RowRouting{Position: at, Token: d.Tokens[at], Path: p})
	}
	return d
}

func near(a, b float64) bool {
	return a == b || math.Abs(a-b) < 1e-9*max(1, math.Abs(a)) || math.IsNaN(a) && math.IsNaN(b)
}

// gatesOf is the gate of each expert for every row that uses a layer; -1: not used.
func gatesOf(d *trace.Doc, layer int) (rows [][]float64) {
	for _, r := range d.Rows {
		row := slices.Repeat([]float64{-1}, experts)
		es, gs := r.Path.At(layer)
		for i, e := range es {
			row[e] = float64(gs[i])
		}
		if len(es) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestCountsAndPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d := text(rng, "", 300)
	c, err := NewCounts(layers, experts)
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := NewPairs(layers, experts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Rows {
		c.Add(r.Path)
		pairs.Add(r.Path)
	}
	for l := range layers {
		rows := gatesOf(d, l)
		if c.Rows[l] != int64(len(rows)) {
			t.Errorf("layer %d: %d rows, want %d", l, c.Rows[l], len(rows))
		}
		all := 0.0
		for e := range experts {
			used, gate, first := 0, 0.0, 0
			for _, row := range rows {
				if row[e] >= 0 {
					used++
					gate += row[e]
				}
			}
			for _, r := range d.Rows {
				if es, _ := r.Path.At(l); len(es) > 0 && es[0] == int32(e) {
					first++
				}
			}
			all += float64(used)
			i := l*experts + e
			if c.Used[i] != int64(used) || !near(c.Gate[i], gate) || c.First[i] != int64(first) {
				t.Errorf("layer %d, expert %d: %d, %v, %d, want %d, %v, %d", l, e, c.Used[i], c.Gate[i], c.First[i], used, gate, first)
			}
			for f := range experts {
				both, either, dot, ee, ff := 0., 0., 0., 0., 0.
				for _, row := range rows {
					if row[e] >= 0 && row[f] >= 0 {
						both++
					}
					if row[e] >= 0 || row[f] >= 0 {
						either++
					}
					g, h := max(row[e], 0), max(row[f], 0)
					dot, ee, ff = dot+g*h, ee+g*g, ff+h*h
				}
				if !near(pairs.Given(l, e, f), both/float64(used)) || !near(pairs.Jaccard(l, e, f), both/either) || !near(pairs.Cosine(l, e, f), dot/math.Sqrt(ee*ff)) {
					t.Errorf("layer %d, experts %d and %d: %v, %v, %v, want %v, %v, %v", l, e, f, pairs.Given(l, e, f), pairs.Jaccard(l, e, f), pairs.Cosine(l, e, f), both/float64(used), both/either, dot/math.Sqrt(ee*ff))
				}
			}
		}
		if !near(c.PerToken(l), all/float64(len(rows))) {
			t.Errorf("layer %d: %v experts a token, want %v", l, c.PerToken(l), all/float64(len(rows)))
		}
		for _, m := range []Measure{Use, Gates, First} {
			total, load := 0.0, c.Load(m, l)
			for e, s := range c.Share(m, l) {
				total += s
				if lift := c.Lift(c, m, l)[e]; lift != 1 {
					t.Errorf("lift against itself: %v", lift)
				}
				if !near(s*slices.Max(load), load[e]*slices.Max(c.Share(m, l))) {
					t.Errorf("shares of layer %d are not in proportion", l)
				}
			}
			if !near(total, 1) {
				t.Errorf("shares of layer %d sum to %v", l, total)
			}
		}
	}
}

func TestLift(t *testing.T) {
	all, _ := NewCounts(1, 3)
	all.Used = []int64{10, 30, 0}
	part, _ := NewCounts(1, 3)
	part.Used = []int64{5, 5, 0}
	if got := part.Lift(all, Use, 0); got[0] != 2 || got[1] != 0.5/0.75 || !math.IsNaN(got[2]) {
		t.Errorf("%v", got)
	}
	none, _ := NewCounts(1, 3)
	if got := none.Share(Gates, 0); !slices.Equal(got, []float64{0, 0, 0}) {
		t.Errorf("shares of nothing: %v", got)
	}
	none.Gate[0] = math.NaN()
	if got := none.Share(Gates, 0); !slices.Equal(got, []float64{0, 0, 0}) {
		t.Errorf("shares of what is no number: %v", got)
	}
}

func TestApart(t *testing.T) {
	for _, c := range []struct {
		p, q   []float64
		tv, js float64
	}{
		{[]float64{1, 0}, []float64{1, 0}, 0, 0},
		{[]float64{1, 0}, []float64{0, 1}, 1, 1},
		{[]float64{.5, .5}, []float64{1, 0}, .5, math.Sqrt(.5*(.5*math.Log2(.5/.75)+.5*math.Log2(.5/.25)) + .5*math.Log2(1/.75))},
	} {
		if tv, js := TotalVariation(c.p, c.q), JensenShannon(c.p, c.q); !near(tv, c.tv) || !near(js, c.js) || js != JensenShannon(c.q, c.p) {
			t.Errorf("%v, %v: %v, %v, want %v, %v", c.p, c.q, tv, js, c.tv, c.js)
		}
	}
	if h := Entropy([]float64{.25, .25, .5, 0}); !near(h, 1.5*math.Ln2) {
		t.Errorf("entropy %v", h)
	}
}

// An expert that takes one token twice as often as others has it at its top; the figures are those of a recount.
func TestTopTokens(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	d := text(rng, "", 4000)
	for i := range d.Rows { // expert 2 of layer 1 takes every token 3
		p := &d.Rows[i].Path
		if es, _ := p.At(1); d.Rows[i].Token == 3 && len(es) > 0 && !slices.Contains(es, 2) {
			es[len(es)-1] = 2
		}
	}
	for _, first := range []bool{false, true} {
		tally := NewTokens([]int{1}, experts, first)
		rows, load, seen, used := 0., 0., 0., 0.
		for _, r := range d.Rows {
			if err := tally.Add(r.Token, r.Path); err != nil {
				t.Fatal(err)
			}
			es, _ := r.Path.At(1)
			if len(es) == 0 {
				continue
			}
			has := es[0] == 2 || !first && slices.Contains(es, 2)
			rows++
			if r.Token == 3 {
				seen++
			}
			if has {
				load++
			}
			if has && r.Token == 3 {
				used++
			}
		}
		top := tally.Top(0, 2, 3)
		if len(top) == 0 || top[0].Token != 3 || float64(top[0].Used) != used || float64(top[0].Seen) != seen || !near(top[0].Expected, load/rows*seen) || !near(top[0].Lift(), used/(load/rows*seen)) {
			t.Errorf("first %v: %+v, want %v of %v tokens 3", first, top, used, seen)
		}
	}
	if got := surprise(3, 4, .25); !near(got, 2*(3*math.Log(3)+math.Log(1./3))) {
		t.Errorf("G² %v", got)
	}
	if got := NewTokens([]int{0}, 3, true).Top(0, 1, 5); got != nil {
		t.Errorf("of no token: %v", got)
	}
}

// run is a sequence of documents.
func run(list []*trace.Doc, end error) func() (*trace.Doc, error) {
	return func() (*trace.Doc, error) {
		if len(list) == 0 {
			return nil, end
		}
		d := list[0]
		list = list[1:]
		return d, nil
	}
}

func TestDiff(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	h := trace.Header{NumLayers: layers, NumExperts: experts}
	var a, b []*trace.Doc
	for i := range 20 {
		x, y := text(rng, fmt.Sprint(i/2), 40), text(rng, fmt.Sprint(i/2), 40) // two of each id
		y.Tokens = slices.Clone(x.Tokens)
		if i%3 == 0 {
			y.Tokens[25]++ // the same up to there
		}
		y.Rows = slices.DeleteFunc(y.Rows, func(r router.RowRouting) bool { return rng.IntN(9) == 0 })
		for j := range y.Rows {
			if y.Rows[j].Token = y.Tokens[y.Rows[j].Position]; j%2 == 0 && j < len(x.Rows) {
				y.Rows[j].Path = x.Rows[j].Path
			}
		}
		a, b = append(a, x), append(b, y)
	}
	rows, changed, first, moved := make([]int64, layers), make([]int64, layers), make([]int64, layers), make([]float64, layers)
	largest := 0.0
	for i := range a {
		for _, p := range a[i].Rows {
			for _, q := range b[i].Rows {
				if p.Position != q.Position || !slices.Equal(a[i].Tokens[:p.Position+1], b[i].Tokens[:p.Position+1]) {
					continue
				}
				all := 0.0
				for l := range layers {
					es, gs := p.Path.At(l)
					fs, hs := q.Path.At(l)
					if len(es) == 0 || len(fs) == 0 {
						continue
					}
					var g, h [experts]float64
					for i := range es {
						g[es[i]] = float64(gs[i]) / sum(gs)
					}
					for i := range fs {
						h[fs[i]] = float64(hs[i]) / sum(hs)
					}
					x, y := slices.Sorted(slices.Values(es)), slices.Sorted(slices.Values(fs))
					rows[l]++
					if es[0] != fs[0] {
						first[l]++
					}
					if !slices.Equal(x, y) {
						changed[l]++
					}
					tv := TotalVariation(g[:], h[:])
					moved[l] += tv
					all += tv
				}
				largest = max(largest, all)
			}
		}
	}
	later := slices.Clone(b) // another order of ids, the same within an id
	slices.SortStableFunc(later, func(x, y *trace.Doc) int { return strings.Compare(y.ID, x.ID) })
	for _, order := range [][]*trace.Doc{b, later} {
		d, err := NewDiff(h, h, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(run(a, io.EOF), run(append(order, text(rng, "another", 3)), io.EOF)); err != nil {
			t.Fatal(err)
		}
		if d.Documents != len(a) || d.Alike != 13 || !reflect.DeepEqual(d.Rows, rows) || !reflect.DeepEqual(d.Changed, changed) || !reflect.DeepEqual(d.First, first) {
			t.Errorf("%d documents, %d alike, %v %v %v, want %d, 13, %v %v %v", d.Documents, d.Alike, d.Rows, d.Changed, d.First, len(a), rows, changed, first)
		}
		for l := range layers {
			if !near(d.Moved[l], moved[l]) {
				t.Errorf("layer %d: moved %v, want %v", l, d.Moved[l], moved[l])
			}
		}
		most := d.Most()
		if len(most) != 4 || !near(most[0].Moved, largest) || !slices.IsSortedFunc(most, func(x, y Change) int { return compareChanges(y, x) }) {
			t.Errorf("%+v, want 4, the first with %v", most, largest)
		}
		whole, _ := NewCounts(layers, experts)
		for _, doc := range a {
			Count(whole, doc)
		}
		if !reflect.DeepEqual(d.A, whole) {
			t.Error("counts differ")
		}
	}
	d, _ := NewDiff(h, h, 1)
	broken := errors.New("broken")
	if err := d.Run(run(a, io.EOF), run(b[:3], broken)); err != broken || d.Documents != 3 {
		t.Errorf("%v after %d documents, want broken after 3", err, d.Documents)
	}
}

func TestWhatDoesNotFit(t *testing.T) {
	if _, err := NewCounts(1<<14, 1<<16); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("counts of any size: %v", err)
	}
	if _, err := NewPairs(1, 257); err == nil || !strings.Contains(err.Error(), "at most 256 experts") {
		t.Errorf("pairs of 257 experts: %v", err)
	}
	if _, err := NewDiff(trace.Header{NumLayers: 2, NumExperts: 3}, trace.Header{NumLayers: 2, NumExperts: 4}, 0); err == nil || !strings.Contains(err.Error(), "2 layers of 3 experts against 2 of 4") {
		t.Errorf("different sizes: %v", err)
	}
	tally := NewTokens(make([]int, 1<<10), 1<<10, false)
	path := router.Path{Start: make([]int32, 2)}
	var err error
	for token := int32(0); err == nil && token < 300; token++ {
		tally.kinds[token] = nil // as if seen
		if token == 299 {
			err = tally.Add(token, path)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "look at one layer") {
		t.Errorf("counts of tokens of any size: %v", err)
	}
}

func TestDomains(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	d, err := NewDomains(layers, experts)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*Counts{}
	for i := range 12 {
		doc := text(rng, "", 30)
		doc.Domain = []string{"b", "a", ""}[i%3]
		if want[doc.Domain] == nil {
			want[doc.Domain], _ = NewCounts(layers, experts)
		}
		Count(want[doc.Domain], doc)
		if err := d.Add(doc); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(d.Names, []string{"b", "a", ""}) || d.Of("c") != nil {
		t.Errorf("names %q", d.Names)
	}
	rows := int64(0)
	for name, c := range want {
		if !reflect.DeepEqual(d.Of(name), c) {
			t.Errorf("domain %q differs", name)
		}
		rows += c.Rows[1]
	}
	if d.All.Rows[1] != rows {
		t.Errorf("%d rows in all, want %d", d.All.Rows[1], rows)
	}
	large, err := NewDomains(1<<10, 1<<11)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Add(&trace.Doc{Domain: "a"}), large.Add(&trace.Doc{Domain: "b"})); err == nil || !strings.Contains(err.Error(), "2 domains") {
		t.Errorf("domains without end: %v", err)
	}
}
