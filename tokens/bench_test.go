package tokens

import (
	"fmt"
	"strings"
	"testing"
)

// benchText is n bytes of the goldens' texts.
func benchText(b *testing.B, n int) string {
	var all strings.Builder
	for all.Len() < n {
		for _, g := range goldens(b) {
			all.Write(g.Text)
		}
	}
	return all.String()[:n]
}

func BenchmarkNew(b *testing.B) {
	data := must(unpack("grok-1.tokenizer.model.gz"))(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := grok(b)
	for _, n := range []int{200, 2_000, 20_000, 1_000_000} {
		text := benchText(b, n)
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(text)
			}
		})
	}
}

// One operation is one token.
func BenchmarkStream(b *testing.B) {
	tok := grok(b)
	ids := tok.Encode(benchText(b, 100_000))
	s := tok.NewStream()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Next(ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := grok(b)
	text := benchText(b, 100_000)
	ids := tok.Encode(text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tok.Decode(ids); err != nil {
			b.Fatal(err)
		}
	}
}
