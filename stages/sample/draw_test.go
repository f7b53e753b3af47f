package sample

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestGreedy(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, s := range []Sampler{Exact, JAXF32, JAXBF16} {
		for _, tt := range []struct {
			logits []float32
			want   int32
		}{
			{[]float32{1, 3, 2}, 1},
			{[]float32{2, 3, 3, 3}, 1}, // ties to the lowest id
			{[]float32{-inf, -5, -inf}, 1},
			{[]float32{0, 1, 1.0000001}, 2}, // no rounding to bfloat16
			{[]float32{7}, 0},
		} {
			d := NewDrawer(len(tt.logits))
			p := Params{TopP: 1, Sampler: s}
			got, err := d.Draw(tt.logits, p, 9, 9)
			if want := (Draw{Token: tt.want, Kept: 1}); err != nil || got != want {
				t.Errorf("%v %v: %+v, %v, want %+v", s, tt.logits, got, err, want)
			}
			if ids, probs, err := d.Top(tt.logits, p, 5); err != nil || !slices.Equal(ids, []int32{tt.want}) || probs[0] != 1 {
				t.Errorf("%v %v: top %v %v, %v, want token %d alone", s, tt.logits, ids, probs, err, tt.want)
			}
		}
	}
}

// At a low temperature every sampler is greedy.
func TestLowTemperature(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, s := range []Sampler{Exact, JAXF32, JAXBF16} {
		d := NewDrawer(100)
		for range 50 {
			logits := randomLogits(rng, "smooth", 100)
			logits[rng.IntN(100)] = 20 // clear of the others
			got, err := d.Draw(logits, Params{Temperature: .01, TopP: 1, Seed: rng.Uint64(), Sampler: s}, 5, 5)
			if err != nil || logits[got.Token] != 20 || got.LogProb != 0 {
				t.Fatalf("%v: %+v, %v, want the likeliest token", s, got, err)
			}
		}
	}
}

// A draw depends on its arguments alone: one drawer used for many sequences in any order gives what a new
// one gives, and leaves the logits as they were.
func TestPurity(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const n = 64
	shared := NewDrawer(n)
	for range 500 {
		p := randomParams(rng)
		if p.Sampler = Sampler(rng.IntN(3)); p.Sampler != Exact {
			p.TopK, p.MinP, p.Temperature, p.Seed = 0, 0, 1.5, p.Seed%5
		}
		logits, position, step := randomLogits(rng, "smooth", n), rng.IntN(1000), rng.IntN(60)
		before := slices.Clone(logits)
		got, err := shared.Draw(logits, p, position, step)
		if err != nil {
			t.Fatal(err)
		}
		want, err := NewDrawer(n).Draw(logits, p, position, step)
		if err != nil || got != want {
			t.Fatalf("%+v, position %d, step %d: %+v, a new drawer gives %+v, %v", p, position, step, got, want, err)
		}
		if !slices.Equal(logits, before) {
			t.Fatalf("%+v: the logits were changed", p)
		}
		if _, _, err := shared.Top(logits, p, 5); err != nil { // must leave no trace either
			t.Fatal(err)
		}
	}
}

func TestDrawRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := Defaults()
	for _, tt := range []struct {
		name           string
		logits         []float32
		vocab          int
		p              Params
		position, step int
		want           string
	}{
		{"NaN", []float32{1, nan, 2}, 3, good, 0, 0, "token 1: logit NaN"},
		{"all NaN", []float32{nan, nan}, 2, good, 0, 0, "token 0: logit NaN"},
		{"NaN, greedy", []float32{1, nan}, 2, Params{TopP: 1}, 0, 0, "token 1: logit NaN"},
		{"+Inf", []float32{1, inf, 2}, 3, good, 0, 0, "token 1: logit +Inf"},
		{"nothing allowed", []float32{-inf, -inf}, 2, good, 0, 0, "all logits are -Inf"},
		{"too few logits", []float32{1, 2}, 3, good, 0, 0, "2 logits, want 3"},
		{"no vocabulary", nil, 0, good, 0, 0, "0 logits"},
		{"negative vocabulary", nil, -1, good, 0, 0, "0 logits"},
		{"negative position", []float32{1}, 1, good, -1, 0, "position -1"},
		{"negative step", []float32{1}, 1, good, 0, -1, "step -1"},
		{"bad parameters", []float32{1}, 1, Params{}, 0, 0, "top-p 0"},
		{"overflow", []float32{1, 3e38}, 2, Params{Temperature: .1, TopP: 1, Sampler: JAXF32}, 0, 0, "token 1: logit 3e+38 over temperature 0.1"},
		{"overflow below", []float32{1, -3e38}, 2, Params{Temperature: .1, TopP: 1, Sampler: JAXF32}, 0, 0, "token 1: logit -3e+38"},
		{"overflow of bfloat16", []float32{math.MaxFloat32, 1}, 2, Params{Temperature: 1, TopP: 1, Sampler: JAXBF16}, 0, 0, "token 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := NewDrawer(tt.vocab).Draw(tt.logits, tt.p, tt.position, tt.step)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%+v, error %v, want a line with %q", got, err, tt.want)
			}
		})
	}
}

// Tokens of logit -Inf are never drawn nor counted.
func TestForbiddenTokens(t *testing.T) {
	inf := float32(math.Inf(-1))
	logits := []float32{inf, 0, inf, 0, inf}
	d := NewDrawer(len(logits))
	for _, s := range []Sampler{Exact, JAXF32, JAXBF16} {
		for i := range 200 {
			got, err := d.Draw(logits, Params{Temperature: 9, TopP: 1, Sampler: s, Seed: 3}, i, i)
			if err != nil || got.Kept != 2 || got.Token%2 == 0 {
				t.Fatalf("%v: %+v, %v, want token 1 or 3 of 2 kept", s, got, err)
			}
		}
	}
}

func TestTopIsBounded(t *testing.T) {
	logits := []float32{0, 1, 2, 3}
	for _, n := range []int{-1, 0, 1, 3, 4, 100} {
		ids, probs, err := NewDrawer(4).Top(logits, Defaults(), n)
		if want := max(0, min(n, 4)); err != nil || len(ids) != want || len(probs) != want {
			t.Errorf("%d wanted: %d tokens, %d probabilities, %v", n, len(ids), len(probs), err)
		}
	}
}

func TestDrawAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	logits := randomLogits(rng, "smooth", 1000)
	d := NewDrawer(len(logits))
	for _, p := range []Params{
		{TopP: 1}, Defaults(), {Temperature: .8, TopK: 40, TopP: .9, MinP: .05},
		{Temperature: .8, TopP: .9, Sampler: JAXF32}, {Temperature: .8, TopP: .9, Sampler: JAXBF16},
	} {
		step := 0
		draw := func() {
			if _, err := d.Draw(logits, p, step, step); err != nil {
				t.Fatal(err)
			}
			step++
		}
		draw()
		if n := testing.AllocsPerRun(50, draw); n != 0 {
			t.Errorf("%+v: %v allocations a draw, want 0", p, n)
		}
	}
}

func FuzzDraw(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"), 1.0, 0, 1.0, 0.0, uint64(42), uint8(0), 0, 0)
	f.Add([]byte("\x00\x00\x80\xff\x00\x00\x00\x00\x00\x00\xc0\x7f"), .7, 2, .9, .05, uint64(7), uint8(0), 3, 1)
	f.Add([]byte("\xff\xff\x7f\x7f\xff\xff\x7f\xff\x01\x00\x00\x00"), 1e-300, 1, 1e-300, 1e-300, uint64(1)<<63, uint8(0), 1<<30, 9)
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"), .01, 0, .5, 0.0, uint64(42), uint8(2), 0, 12)
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"), 1.3, 0, .5, 0.0, uint64(42), uint8(1), 0, 12)
	f.Fuzz(func(t *testing.T, raw []byte, temperature float64, topK int, topP, minP float64, seed uint64, sampler uint8, position, step int) {
		logits := make([]float32, len(raw)/4)
		for i := range logits {
			logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		p := Params{temperature, topK, topP, minP, seed, Sampler(sampler)}
		step = min(step, 1000)
		d := NewDrawer(len(logits))
		got, err := d.Draw(logits, p, position, step)
		if err != nil {
			if (got != Draw{}) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%+v with the error %q", got, err)
			}
			return
		}
		if int(got.Token) < 0 || int(got.Token) >= len(logits) || math.IsInf(float64(logits[got.Token]), -1) {
			t.Fatalf("%+v: token %d", p, got.Token)
		}
		if !(got.LogProb <= 0) || math.IsInf(float64(got.LogProb), -1) || got.Kept < 1 || got.Kept > len(logits) {
			t.Fatalf("%+v: %+v", p, got)
		}
		if again, err := d.Draw(logits, p, position, step); err != nil || again != got {
			t.Fatalf("%+v: %+v, then %+v, %v", p, got, again, err)
		}
		ids, probs, err := d.Top(logits, p, len(logits))
		if err != nil || len(ids) != got.Kept || !slices.Contains(ids, got.Token) {
			t.Fatalf("%+v: %+v of %v, %v", p, got, ids, err)
		}
		sum := 0.0
		for i, prob := range probs {
			sum += float64(prob)
			if i > 0 && prob > probs[i-1] {
				t.Fatalf("%+v: probabilities %v are not in order", p, probs)
			}
		}
		if math.Abs(sum-1) > 1e-2 { // bfloat16 rounds each
			t.Fatalf("%+v: probabilities sum to %v", p, sum)
		}
		if p.Sampler == Exact && p.Temperature > 0 && position <= math.MaxInt32 {
			if want := slowDraw(logits, p, position); got != want {
				t.Fatalf("%+v: %+v, want %+v", p, got, want)
			}
		}
	})
}
