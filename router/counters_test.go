package router

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// rows is what a test counts: probabilities [rows experts] and what was chosen from them.
func countedRows(t testing.TB, rng *rand.Rand, rows, experts int, rules ...Rule) ([]float32, *Routing) {
	t.Helper()
	var r Routing
	r.Reset(experts)
	var probs []float32
	for i := range rows {
		p := randomProbs(rng, experts)
		probs = append(probs, p...)
		if err := r.Add(p, &rules[rng.IntN(len(rules))], Place{Position: i}); err != nil {
			t.Fatal(err)
		}
	}
	return probs, &r
}

// recount counts in the plainest way, in float64.
type recount struct {
	used, counts, ratio []uint64
	mass                []float64
	entropy, margin     float64
	marginRows, rows    uint64
	together            map[[2]int]uint64
}

func recounted(probs []float32, r *Routing, experts int) recount {
	c := recount{used: make([]uint64, experts), counts: make([]uint64, experts+1), ratio: make([]uint64, RatioBins), mass: make([]float64, experts), together: map[[2]int]uint64{}}
	for row := range r.Rows() {
		p := probs[row*experts : (row+1)*experts]
		chosen, gates := r.Expert[r.Start[row]:r.Start[row+1]], r.Gate[r.Start[row]:r.Start[row+1]]
		c.rows++
		c.counts[len(chosen)]++
		left := math.Inf(-1)
		for e, v := range p {
			if v > 0 {
				c.entropy -= float64(v) * math.Log(float64(v))
			}
			if !slices.Contains(chosen, int32(e)) {
				left = max(left, float64(v))
			}
		}
		if len(chosen) < experts {
			c.marginRows++
			c.margin += float64(p[chosen[len(chosen)-1]]) - left
		}
		for i, a := range chosen {
			c.mass[a] += float64(gates[i])
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(chosen)))
		for _, a := range distinct {
			c.used[a]++
			for _, b := range distinct {
				c.together[[2]int{int(a), int(b)}]++
			}
		}
		sorted := slices.Sorted(slices.Values(p))
		slices.Reverse(sorted)
		if experts > 1 {
			c.ratio[min(int(RatioBins*sorted[1]/sorted[0]), RatioBins-1)]++
		}
	}
	return c
}

func TestCountersAgreeWithARecount(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 60 {
		experts, rows := 1+rng.IntN(20), 1+rng.IntN(60)
		rules := []Rule{{Count: 1 + rng.IntN(experts)}, {Count: 1 + rng.IntN(experts)}, {How: Random, Count: 1 + rng.IntN(experts)},
			{Count: experts, Replace: []Replacement{{0, experts - 1}, {experts / 2, 0}}[:1+experts/4%2]}} // one computes for several
		probs, r := countedRows(t, rng, rows, experts, rules...)
		c := NewCounters(3, experts, 1, 2)
		c.Count(1, probs, r, nil)
		got, want := &c.Layers[1], recounted(probs, r, experts)
		if got.Rows != want.rows || got.MarginRows != want.marginRows || got.Undefined != 0 {
			t.Errorf("rows %d, with a margin %d, undefined %d, want %d, %d, 0", got.Rows, got.MarginRows, got.Undefined, want.rows, want.marginRows)
		}
		if !slices.Equal(got.Used, want.used) || !slices.Equal(got.Counts, want.counts) || !slices.Equal(got.Ratio[:], want.ratio) {
			t.Errorf("used %v, counts %v, ratios %v, want %v, %v, %v", got.Used, got.Counts, got.Ratio, want.used, want.counts, want.ratio)
		}
		for a := range experts {
			near(t, "mass", got.Mass[a].Float(), want.mass[a], float64(rows)*1e-8)
			for b := range experts {
				if n := want.together[[2]int{a, b}]; got.Pair(a, b) != n {
					t.Errorf("experts %d and %d together %d times, want %d", a, b, got.Pair(a, b), n)
				}
			}
		}
		near(t, "entropy", got.Entropy.Float(), want.entropy, float64(rows)*3e-6)
		near(t, "margin", got.Margin.Float(), want.margin, float64(rows)*1e-7)
		near(t, "mean entropy", got.MeanEntropy(), want.entropy/float64(rows), 3e-6)
		near(t, "mean count", got.MeanCount(), float64(len(r.Expert))/float64(rows), 1e-12)
		near(t, "share", got.Share(0), float64(want.used[0])/float64(rows), 1e-12)
	}
}

func near(t *testing.T, what string, got, want, most float64) {
	t.Helper()
	if !(math.Abs(got-want) <= most) {
		t.Errorf("%s %v, want %v within %v", what, got, want, most)
	}
}

// However rows are cut into batches, and in whatever order they come, the counters have the same bits; a difference of
// two copies is what was counted between them.
func TestCountersDoNotDependOnTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	const experts, rows = 7, 50
	rule := Rule{Count: 3}
	probs, all := countedRows(t, rng, rows, experts, rule)
	whole := NewCounters(1, experts, 0, 1)
	whole.Count(0, probs, all, nil)
	single, others := NewCounters(1, experts, 0, 1), NewCounters(1, experts, 0, 1)
	var before Counters
	for i, row := range rng.Perm(rows) {
		if i == rows/2 {
			before = single.Clone()
		}
		var r Routing
		r.Reset(experts)
		p := probs[row*experts : (row+1)*experts]
		if err := r.Add(p, &rule, Place{Position: row}); err != nil {
			t.Fatal(err)
		}
		single.Count(0, p, &r, nil)
		if i >= rows/2 {
			others.Count(0, p, &r, nil)
		}
	}
	if !reflect.DeepEqual(single.Layers, whole.Layers) {
		t.Errorf("row by row %+v, at once %+v", single.Layers, whole.Layers)
	}
	if since := single.Sub(&before); !reflect.DeepEqual(since.Layers, others.Layers) {
		t.Errorf("since the copy %+v, want %+v", since.Layers, others.Layers)
	}
	if sum := before.Add(others); !reflect.DeepEqual(sum.Layers, whole.Layers) {
		t.Errorf("sum %+v, want %+v", sum.Layers, whole.Layers)
	}
	var zero Counters
	if sum := zero.Add(whole); !reflect.DeepEqual(sum, whole.Clone()) {
		t.Error("nothing and the whole are not the whole")
	}
	if rest := whole.Sub(&zero); !reflect.DeepEqual(rest, whole.Clone()) {
		t.Error("the whole less nothing is not the whole")
	}
}

// Stages count the layers that are theirs.
func TestCountersOfStagesAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	probs, r := countedRows(t, rng, 9, 4, Rule{Count: 2})
	low, high, both := NewCounters(3, 4, 0, 1), NewCounters(3, 4, 1, 3), NewCounters(3, 4, 0, 3)
	for l := range 3 {
		both.Count(l, probs, r, nil)
		if l < 1 {
			low.Count(l, probs, r, nil)
		} else {
			high.Count(l, probs, r, nil)
		}
	}
	for _, sum := range []Counters{low.Add(high), high.Add(low)} {
		if !reflect.DeepEqual(sum.Layers, both.Layers) {
			t.Errorf("%+v, want %+v", sum.Layers, both.Layers)
		}
	}
}

// Rows that stand for no token are left out, and so are those that are not finite, with whatever they came.
func TestCountersLeaveRowsOut(t *testing.T) {
	const experts = 3
	nan := float32(math.NaN())
	probs := []float32{.5, .3, .2, nan, 0, 0, .5, .3, .2, 0, 1, 0, .5, float32(math.Inf(1)), .1}
	r := &Routing{Start: []int32{0, 1, 2, 3, 4, 5}, Expert: []int32{0, 0, 0, 1, 1}, Gate: []float32{.5, nan, .5, 1, 1}, experts: experts}
	c := NewCounters(1, experts, 0, 1)
	c.Count(0, probs, r, []int32{2})
	l := &c.Layers[0]
	if l.Rows != 2 || l.Undefined != 2 || !slices.Equal(l.Used, []uint64{1, 1, 0}) {
		t.Errorf("%d rows, %d undefined, used %v, want 2, 2, [1 1 0]", l.Rows, l.Undefined, l.Used)
	}
	near(t, "entropy", l.Entropy.Float(), 1.0296530140645737, 1e-6) // of .5, .3, .2; of 0, 1, 0 it is 0
	near(t, "margin", l.Margin.Float(), .2+1, 1e-6)
	c.Count(0, make([]float32, experts), &Routing{Start: []int32{0, 1}, Expert: []int32{0}, Gate: []float32{0}}, nil)
	if l.Rows != 3 {
		t.Error("a row of zeros is not counted")
	}
}

func TestCountersOfManyExperts(t *testing.T) {
	const experts = MostTogether + 1
	probs, r := countedRows(t, rand.New(rand.NewPCG(17, 18)), 5, experts, Rule{Count: 4})
	c := NewCounters(1, experts, 0, 1)
	c.Count(0, probs, r, nil)
	if l := &c.Layers[0]; l.Together != nil || l.Pair(0, 1) != 0 || l.Rows != 5 {
		t.Errorf("%d rows, %d pairs kept, want 5, 0", l.Rows, len(l.Together))
	}
}

// A stamp that comes round again does not take the marks of 2^32 rows ago for its own.
func TestCountersStamp(t *testing.T) {
	c := NewCounters(1, 2, 0, 1)
	c.mark[0], c.stamp = 1, math.MaxUint32
	c.Count(0, []float32{.9, .1}, &Routing{Start: []int32{0, 1}, Expert: []int32{1}, Gate: []float32{.1}}, nil)
	near(t, "margin", c.Layers[0].Margin.Float(), .1-.9, 1e-6)
}

func TestLog(t *testing.T) {
	worst := 0.0
	for bits := uint32(0x00800000); bits < 0x7f800000; bits += 997 { // every normal number would take a minute
		x := math.Float32frombits(bits)
		want := math.Log(float64(x))
		worst = max(worst, math.Abs(float64(log(x))-want)/max(1, math.Abs(want)))
	}
	if worst > 2e-7 {
		t.Errorf("off by %v of max(1, |ln x|), want 2e-7 at most", worst)
	}
	for _, x := range []float32{0, 1e-45, -1, float32(math.Inf(1))} {
		if y := log(x); y-y != 0 {
			t.Errorf("log(%v) is %v, want a finite number", x, y)
		}
	}
}

func TestCountersAllocateNothing(t *testing.T) {
	probs, r := countedRows(t, rand.New(rand.NewPCG(19, 20)), 64, 8, Rule{Count: 3})
	c := NewCounters(2, 8, 0, 2)
	if n := testing.AllocsPerRun(100, func() { c.Count(1, probs, r, []int32{3}) }); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
}

// BenchmarkCounters is what counting costs a row in a layer.
func BenchmarkCounters(b *testing.B) {
	for _, size := range []struct {
		name               string
		rows, experts, use int
	}{{"decode-8", 1, 8, 2}, {"prefill-8", 128, 8, 2}, {"prefill-64", 128, 64, 8}} {
		b.Run(size.name, func(b *testing.B) {
			probs, r := countedRows(b, rand.New(rand.NewPCG(21, 22)), size.rows, size.experts, Rule{Count: size.use})
			c := NewCounters(1, size.experts, 0, 1)
			for b.Loop() {
				c.Count(0, probs, r, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size.rows), "ns/row")
		})
	}
}
