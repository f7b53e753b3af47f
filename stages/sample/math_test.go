package sample

import (
	"math"
	"testing"
)

func TestExpNeg(t *testing.T) {
	worst := 0.0
	for x := 0.0; x > expLow; x -= 0.00137 {
		want := math.Exp(x)
		worst = max(worst, math.Abs(expNeg(x)-want)/want)
	}
	if worst > 4e-15 {
		t.Errorf("relative error %v, want at most 4e-15", worst)
	}
	for _, tt := range []struct{ x, want float64 }{{0, 1}, {math.Inf(-1), 0}, {-709, 0}, {-math.MaxFloat64, 0}, {-5e-324, 1}} {
		if got := expNeg(tt.x); got != tt.want {
			t.Errorf("e^%v = %v, want %v", tt.x, got, tt.want)
		}
	}
}

func TestLn(t *testing.T) {
	worst := 0.0
	check := func(x float64) {
		want := math.Log(x)
		worst = max(worst, math.Abs(ln(x)-want)/math.Abs(want))
	}
	for x := 0x1p-1022; x < 0x1p1023; x *= 1.0137 {
		check(x)
	}
	for x := 0.5; x < 2; x += 0.000137 {
		check(x)
	}
	for d := 0x1p-52; d < .1; d *= 1.1 {
		check(1 - d)
		check(1 + d)
	}
	if worst > 7e-16 {
		t.Errorf("relative error %v, want at most 7e-16", worst)
	}
	if got := ln(1); got != 0 {
		t.Errorf("ln 1 = %v, want 0", got)
	}
}

func TestRoundBF16(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, tt := range []struct{ f, want float32 }{
		{0, 0}, {1, 1}, {-1, -1}, {inf, inf}, {-inf, -inf},
		{1 + 0x1p-8, 1}, {1 + 0x1p-8 + 0x1p-23, 1 + 0x1p-7}, // a tie to even, just above it
		{1 + 0x3p-8, 1 + 0x1p-6}, {-1 - 0x3p-8, -1 - 0x1p-6}, // a tie to even, upwards
		{math.MaxFloat32, inf}, {0x1p-149, 0},
	} {
		if got := roundBF16(tt.f); got != tt.want {
			t.Errorf("%v rounds to %v, want %v", tt.f, got, tt.want)
		}
	}
	if got := roundBF16(float32(math.NaN())); got == got {
		t.Errorf("NaN rounds to %v", got)
	}
}
