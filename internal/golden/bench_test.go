package golden

import (
	"testing"

	"troupe/kernels"
	"troupe/model/demo"
)

// One stream on the demo model without actors or scheduler, by arithmetic, library and threads.
func BenchmarkDemoDecode(b *testing.B) {
	m, err := openDir(b.Context(), demo.FS())
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
		for _, threads := range []int{1, 2} {
			b.Run(a.String()+map[int]string{1: "/threads=1", 2: "/threads=2"}[threads], func(b *testing.B) {
				l, err := newLoop(m, a, "", threads, 128, nil)
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				if _, err := l.Prefill([]int32{571, 1996, 361, 455}, 0); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				pos := 4
				for b.Loop() {
					if _, err := l.Decode(571, pos, 0); err != nil {
						b.Fatal(err)
					}
					if pos++; pos == 500 {
						pos = 4
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

// Prefill of 128 tokens with the logits of every position.
func BenchmarkDemoPrefill(b *testing.B) {
	m, err := openDir(b.Context(), demo.FS())
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	prompt := make([]int32, 128)
	for i := range prompt {
		prompt[i] = int32(100 + 7*i)
	}
	for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact} {
		b.Run(a.String(), func(b *testing.B) {
			l, err := newLoop(m, a, "", 2, 128, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for b.Loop() {
				if _, err := l.Prefill(prompt, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(prompt))/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
