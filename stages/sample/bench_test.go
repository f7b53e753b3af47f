package sample

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Draws from the vocabulary of Grok-1.
func BenchmarkDraw(b *testing.B) {
	const vocab = 131072
	logits := make([]float32, vocab)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range logits {
		logits[i] = float32(2.5 * rng.NormFloat64())
	}
	d := NewDrawer(vocab)
	for _, p := range []Params{
		{TopP: 1},
		{Temperature: .7, TopP: 1},
		{Temperature: .7, TopP: 1, TopK: 40},
		{Temperature: .7, TopP: .9},
		{Temperature: .7, TopP: 1, MinP: .05},
		{Temperature: .7, TopP: .9, TopK: 1000, MinP: .01},
		{Temperature: .7, TopP: 1, Sampler: JAXF32},
		{Temperature: .7, TopP: .9, Sampler: JAXF32},
		{Temperature: .7, TopP: 1, Sampler: JAXBF16},
		{Temperature: .7, TopP: .9, Sampler: JAXBF16},
	} {
		b.Run(fmt.Sprintf("%v/t=%v,k=%d,p=%v,m=%v", p.Sampler, p.Temperature, p.TopK, p.TopP, p.MinP), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := d.Draw(logits, p, i, i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWords(b *testing.B) {
	w := make([]uint32, 131072)
	b.SetBytes(int64(4 * len(w)))
	for b.Loop() {
		NewKey(42).Words(w)
	}
}
