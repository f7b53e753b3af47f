package lab

import (
	"math"
	"testing"
)

func TestDistribution(t *testing.T) {
	set := func(logits ...float32) *Distribution {
		s := NewDistribution(len(logits))
		if err := s.Set(logits); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	none := float32(math.Inf(-1))
	for _, c := range []struct {
		p, q *Distribution
		want float64
	}{
		{set(0, 0), set(ln(1), ln(3)), 0.5*math.Log(0.5/0.25) + 0.5*math.Log(0.5/0.75)},
		{set(ln(1), ln(3)), set(7, 7), 0.25*math.Log(0.25/0.5) + 0.75*math.Log(0.75/0.5)},
		{set(1e4, 0, -1e4), set(0, -1e4, 1e4), 1e4},
		{set(none, 0), set(0, 0), math.Log(2)}, // 0 ln 0 is 0
		{set(0, 0), set(none, 0), math.Inf(1)},
		{set(5, 3, 5), set(105, 103, 105), 0},
	} {
		if got := c.p.Divergence(c.q); !(math.Abs(got-c.want) <= 1e-7*max(c.want, 1) || got == c.want) {
			t.Errorf("%v from %v: %v, want %v", c.q.Logs, c.p.Logs, got, c.want)
		}
	}
	if s := set(3, 5, 5); s.Likeliest != 1 {
		t.Errorf("likeliest %d of a tie, want the lowest id, 1", s.Likeliest)
	}
	nan := float32(math.NaN())
	for _, bad := range [][]float32{{nan, 0}, {0, nan}, {none, none}, {0, float32(math.Inf(1))}} {
		if NewDistribution(2).Set(bad) == nil {
			t.Errorf("%v: taken", bad)
		}
	}
}
