package bench

import (
	"context"
	"testing"

	"troupe/kernels"
)

func TestProber(t *testing.T) {
	v, err := kernels.Find("cpu/generic")
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range []Shape{{In: 64, Out: 96, Float: true}, {In: 6144, Out: 32768, Groups: 8}} {
		p := NewProber(v, kernels.Int8, shape, 4)
		one, err := p.Speed(context.Background(), kernels.SameThreads(1))
		if err != nil || one.Read <= 0 || one.Multiply <= 0 {
			t.Errorf("%+v, %v, want numbers above 0", one, err)
		}
		if again, err := p.Speed(context.Background(), kernels.SameThreads(1)); err != nil || again != one {
			t.Errorf("%+v, %v, want what was measured before, %+v", again, err, one)
		}
	}
}
