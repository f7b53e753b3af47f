package cpu

import (
	"testing"
	"time"

	"troupe/kernels"
)

// TestProbe runs every unit that is here, and reads with more threads than there are pieces.
func TestProbe(t *testing.T) {
	p, err := NewProbe(3<<20 + 17)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Size() != 3<<20 {
		t.Errorf("%d bytes, want whole pieces", p.Size())
	}
	for _, threads := range []int{0, 1, 2, 5} {
		if r := p.Read(threads, time.Millisecond); !(r > 1e6 && r < 1e13) {
			t.Errorf("%d threads read %g bytes a second", threads, r)
		}
	}
	units := []Unit{UnitOf("cpu/generic", kernels.Int8, true), UnitOf("cpu/generic", kernels.Int8, false)}
	for _, tier := range probeTiers {
		units = append(units, tier.whole, tier.float)
	}
	for _, u := range units {
		if r := p.Multiply(u, 2, time.Millisecond); !(r > 1e6 && r < 1e15) {
			t.Errorf("%s: %g multiply-adds a second", u.Name, r)
		}
	}
	readWords(p.mem) // here the vector loops may do it
}

func TestUnitOf(t *testing.T) {
	for _, tier := range probeTiers {
		variant := "cpu/" + tier.mark
		if got := UnitOf(variant, kernels.Int8, true); got.Name != tier.whole.Name {
			t.Errorf("%s, int8: %s, want %s", variant, got.Name, tier.whole.Name)
		}
		for _, got := range []Unit{UnitOf(variant, kernels.Exact, true), UnitOf(variant, kernels.Int8, false)} {
			if got.Name != tier.float.Name {
				t.Errorf("%s, float: %s, want %s", variant, got.Name, tier.float.Name)
			}
		}
	}
	if a, b := UnitOf("ref", kernels.Int8, true), UnitOf("ref", kernels.Reference, true); a.Name == b.Name {
		t.Errorf("whole numbers and floats both by %s", a.Name)
	}
}

// BenchmarkProbe reports what the probes find.
func BenchmarkProbe(b *testing.B) {
	p, err := NewProbe(ProbeBytes)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for b.Loop() {
		b.ReportMetric(p.Read(1, 50*time.Millisecond)/1e9, "GB/s-1")
		b.ReportMetric(p.Read(2, 50*time.Millisecond)/1e9, "GB/s-2")
		for _, v := range []string{"cpu/generic", "cpu/avx2", "cpu/avx512"} {
			b.ReportMetric(p.Multiply(UnitOf(v, kernels.Int8, true), 1, 20*time.Millisecond)/1e9, v+"-int8-GMAC/s")
			b.ReportMetric(p.Multiply(UnitOf(v, kernels.Int8, false), 1, 20*time.Millisecond)/1e9, v+"-float-GMAC/s")
		}
	}
}
