package surgery

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/tensor"
)

// matrices draws n matrices of one shape: int8 with groups of scales, or float32 if there are none.
func matrices(rng *rand.Rand, n, in, out, groups int) []*kernels.Weight {
	list := make([]*kernels.Weight, n)
	for i := range list {
		w := &kernels.Weight{Name: "layer/w", In: in, Out: out, Groups: groups}
		if groups == 0 {
			w.F = make([]float32, in*out)
			for j := range w.F {
				w.F[j] = float32(rng.NormFloat64())
			}
		} else {
			w.Q, w.Scales = make([]int8, in*out), make([]float32, groups*out)
			for j := range w.Q {
				w.Q[j] = int8(rng.IntN(256) - 128)
			}
			for j := range w.Scales {
				w.Scales[j] = tensor.RoundBF16(0.01 + rng.Float32())
			}
			w.Scales[0] = 0 // an output without a use
			for k := range in / groups {
				w.Q[k*out] = 0
			}
		}
		list[i] = w
	}
	return list
}

// panels is the same matrix in panels.
func panels(w *kernels.Weight) *kernels.Weight {
	p := *w
	p.Panels, p.Q = true, make([]int8, kernels.PanelSize(w.In, w.Out, w.Groups))
	kernels.PackPanels(p.Q, w.Q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
	return &p
}

// empty is memory for a matrix like w.
func empty(w *kernels.Weight) *kernels.Weight {
	d := &kernels.Weight{Name: w.Name, In: w.In, Out: w.Out, Groups: w.Groups}
	if w.Quantised() {
		d.Panels, d.Q, d.Scales = true, make([]int8, kernels.PanelSize(w.In, w.Out, w.Groups)), make([]float32, w.Groups*w.Out)
	} else {
		d.F = make([]float32, w.In*w.Out)
	}
	return d
}

// value is a number of a matrix.
func value(w *kernels.Weight, k, o int) float64 {
	if !w.Quantised() {
		return float64(w.F[k*w.Out+o])
	}
	return float64(w.At(k, o)) * float64(w.Scales[k/(w.In/w.Groups)*w.Out+o])
}

func weigh(t *testing.T, from []*kernels.Weight, e Expert) *kernels.Weight {
	t.Helper()
	d := empty(from[0])
	if err := Weigh(d, from, e); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAverages compares averages with plain sums, for odd shapes, with and without groups, in both layouts.
func TestAverages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	e := Expert{Weights: Mix{{0, 0.25}, {1, 0.5}, {2, 0.25}}}
	for _, c := range []struct{ in, out, groups int }{{24, 40, 0}, {24, 40, 1}, {30, 17, 3}, {7, 5, 7}, {64, 16, 2}, {9, 33, 0}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			from := matrices(rng, 3, c.in, c.out, c.groups)
			got := weigh(t, from, e)
			for k := range c.in {
				for o := range c.out {
					want := 0.0
					for i, w := range from {
						want += e.Weights[i].Share * value(w, k, o)
					}
					tolerance := 1e-6
					if c.groups > 0 { // half a step, also at the end, which a bfloat16 scale moves by a quarter
						scale := float64(got.Scales[k/(c.in/c.groups)*c.out+o])
						tolerance = 0.5000001 * scale
					}
					if d := math.Abs(value(got, k, o) - want); d > tolerance {
						t.Fatalf("[%d %d]: %v, want %v within %v", k, o, value(got, k, o), want, tolerance)
					}
				}
			}
			if c.groups == 0 {
				return
			}
			checkRounding(t, got, from, e.Weights)
			packed := []*kernels.Weight{from[0], panels(from[1]), panels(from[2])}
			if again := weigh(t, packed, e); !slices.Equal(again.Q, got.Q) || !slices.Equal(again.Scales, got.Scales) {
				t.Error("from panels: another matrix")
			}
		})
	}
}

// checkRounding holds scales and values against their definition.
func checkRounding(t *testing.T, got *kernels.Weight, from []*kernels.Weight, mix Mix) {
	t.Helper()
	per := got.In / got.Groups
	for g := range got.Groups {
		for o := range got.Out {
			top, v := 0.0, make([]float64, per)
			for k := range v {
				for i, w := range from {
					v[k] += mix[i].Share * value(w, g*per+k, o)
				}
				top = max(top, math.Abs(v[k]))
			}
			scale := got.Scales[g*got.Out+o]
			if want := tensor.RoundBF16(float32(top / 127)); scale != want {
				t.Fatalf("group %d, output %d: scale %v, want %v", g, o, scale, want)
			}
			for k := range v {
				want := 0.0
				if scale > 0 {
					want = max(-127, min(127, math.RoundToEven(v[k]/float64(scale))))
				}
				if q := got.At(g*per+k, o); float64(q) != want {
					t.Fatalf("[%d %d]: %d, want %v: %v by %v", g*per+k, o, q, want, v[k], scale)
				}
			}
		}
	}
}

// TestNoise: of the right size, another for another seed or matrix, the same from either layout and beside others.
func TestNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, groups := range []int{0, 4} {
		from := matrices(rng, 1, 64, 80, groups)
		e := Expert{Weights: Mix{{0, 1}}, Noise: 0.1, Seed: 9}
		got := weigh(t, from, e)
		sum, size, n := 0.0, 0.0, 0.0
		for k := range got.In {
			for o := range got.Out {
				d := value(got, k, o) - value(from[0], k, o)
				sum, size, n = sum+d*d, size+math.Pow(value(from[0], k, o), 2), n+1
			}
		}
		if ratio := math.Sqrt(sum / size); math.Abs(ratio-0.1) > 0.005 { // 5120 numbers: 1 % deviation, and the rounding
			t.Errorf("%d groups: noise is %.4f of the weights, want 0.1", groups, ratio)
		}
		same := func(w *kernels.Weight) bool {
			return slices.Equal(w.Q, got.Q) && slices.Equal(w.F, got.F) && slices.Equal(w.Scales, got.Scales)
		}
		if !same(weigh(t, from, e)) || groups > 0 && !same(weigh(t, []*kernels.Weight{panels(from[0])}, e)) {
			t.Error("the same seed gives another matrix")
		}
		other := e
		other.Seed++
		renamed := *from[0]
		renamed.Name = "layer/v"
		if same(weigh(t, from, other)) || same(weigh(t, []*kernels.Weight{&renamed}, e)) {
			t.Error("another seed or name gives the same matrix")
		}
	}
}

// TestGauss looks at moments and distribution.
func TestGauss(t *testing.T) {
	rng := rand.NewPCG(5, 6)
	const n = 200_000
	list := make([]float64, n)
	var m [5]float64
	for i := range list {
		list[i] = gauss(rng)
		for p := range m {
			m[p] += math.Pow(list[i], float64(p)) / n
		}
	}
	if math.Abs(m[1]) > 0.01 || math.Abs(m[2]-1) > 0.01 || math.Abs(m[3]) > 0.03 || math.Abs(m[4]-2.9) > 0.06 { // 3 - 1.2/12
		t.Errorf("moments %.4f", m[1:])
	}
	slices.Sort(list)
	for i, x := range list {
		if d := math.Abs(float64(i)/n - 0.5*math.Erfc(-x/math.Sqrt2)); d > 0.003+0.004 {
			t.Fatalf("distribution differs by %.4f at %.3f", d, x)
		}
	}
}

// TestColumns: gathered columns are the old bits, averages plain averages, noise of the right size.
func TestColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	old := matrices(rng, 1, 500, 6, 0)[0]
	old.F[3] = float32(math.Copysign(0, -1))
	experts := []Expert{Copy(3), Copy(3), {Router: Mix{{1, 0.25}, {4, 0.75}}, Weights: one(0)}, {Router: one(5), Weights: one(0), Noise: 0.2, Seed: 1}}
	got := &kernels.Weight{Name: "router/w", In: 500, Out: 4, F: make([]float32, 2000)}
	if err := Columns(got, old, experts); err != nil {
		t.Fatal(err)
	}
	noise, size := 0.0, 0.0
	for d := range 500 {
		row, from := got.F[d*4:d*4+4], old.F[d*6:d*6+6]
		for j := range 2 {
			if math.Float32bits(row[j]) != math.Float32bits(from[3]) {
				t.Fatalf("row %d: copy %v of %v", d, row[j], from[3])
			}
		}
		if want := 0.25*float64(from[1]) + 0.75*float64(from[4]); math.Abs(float64(row[2])-want) > 1e-6 {
			t.Errorf("row %d: average %v, want %v", d, row[2], want)
		}
		noise, size = noise+math.Pow(float64(row[3]-from[5]), 2), size+math.Pow(float64(from[5]), 2)
	}
	if ratio := math.Sqrt(noise / size); math.Abs(ratio-0.2) > 0.03 {
		t.Errorf("noise is %.3f of the column, want 0.2", ratio)
	}
	if err := Columns(got, old, experts[:3]); err == nil || !strings.Contains(err.Error(), "for 3 experts") {
		t.Errorf("three experts into four columns: %v", err)
	}
}

func TestWeighRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	a, b := matrices(rng, 2, 8, 16, 2), matrices(rng, 2, 8, 16, 4)
	e := Expert{Weights: Mix{{0, 0.5}, {1, 0.5}}}
	for want, from := range map[string][]*kernels.Weight{
		"1 matrices for 2 old experts": {a[0]},
		"other shapes, groups":         {a[0], b[0]},
		"scales, want":                 {a[0], {Name: "x", In: 8, Out: 16, Groups: 2, Q: make([]int8, 128)}},
	} {
		if err := Weigh(empty(a[0]), from, e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func BenchmarkWeigh(b *testing.B) {
	from := matrices(rand.New(rand.NewPCG(1, 1)), 2, 1024, 512, 1)
	for name, list := range map[string][]*kernels.Weight{"rows": from, "panels": {panels(from[0]), panels(from[1])}} {
		for what, noise := range map[string]float64{"average": 0, "noise": 0.01} {
			b.Run(name+"/"+what, func(b *testing.B) {
				dst := empty(from[0])
				b.SetBytes(1024 * 512)
				for b.Loop() {
					if err := Weigh(dst, list, Expert{Weights: Mix{{0, 0.5}, {1, 0.5}}, Noise: noise}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
