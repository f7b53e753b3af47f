package place

import (
	"math"
	"testing"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

func preset(t *testing.T, name string) model.Config {
	t.Helper()
	p, err := model.FindPreset(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Config
}

func uniform(k int) func(int) int { return func(int) int { return k } }

// TestGrok1Counts compares with the published architecture: 64 layers, 6144 wide, 48 query and 8 key heads
// of 128, 8 experts of width 32768 of which 2 are chosen, 131072 tokens.
func TestGrok1Counts(t *testing.T) {
	c := preset(t, "grok-1")
	const (
		layers, emb, ffn, vocab = 64, 6144, 32768, 131072
		expert                  = 3 * emb * ffn
		attention               = 2*emb*6144 + 2*emb*1024
		dense                   = vocab*emb + layers*(attention+4*emb+emb*8) + emb
	)
	for _, test := range []struct {
		what      string
		got, want int64
	}{
		{"parameters", Parameters(c), 315_684_820_992},
		{"parameters, added up", Parameters(c), dense + layers*8*expert},
		{"active, 2 experts", Active(c, uniform(2)), dense + layers*2*expert},
		{"active, 8 experts", Active(c, uniform(8)), Parameters(c)},
		{"active, another count in layer 3", Active(c, func(l int) int { return 1 + l/63 }), dense + (layers+1)*expert},
		{"KV of a token, bf16", CacheBytesPerToken(c, true), 256 << 10},
		{"KV of a token, float32", CacheBytesPerToken(c, false), 512 << 10},
		{"KV of 8192 tokens, bf16", 8192 * CacheBytesPerToken(c, true), 2 << 30},
		{"boundary of a token, bf16", BoundaryBytes(c, 2), 12 << 10},
		{"read for a token, int8 with a head of its own", ReadBytes(c, nil, stages.HeadBytes(c, kernels.Int8), uniform(2), 1),
			ReadBytes(c, nil, 0, uniform(2), 1) - 4*vocab*emb + vocab*emb + 4*48*vocab},
		{"read for a token, int8", ReadBytes(c, nil, 0, uniform(2), 1), Active(c, uniform(2)) + 3*(vocab*emb+layers*(4*emb+8*emb)+emb) +
			4*layers*(2*(2*ffn+8*emb)+emb+2*1024+8*emb)},
		{"read for a token, float32", ReadBytes(c, func(model.Tensor) Stored { return Stored{} }, 0, uniform(2), 1), 4 * Active(c, uniform(2))},
	} {
		if test.got != test.want {
			t.Errorf("%s: %d, want %d", test.what, test.got, test.want)
		}
	}
	near := func(what string, got, want, digits float64) {
		t.Helper()
		if math.Abs(got-want) > 0.5*digits {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("active", float64(Active(c, uniform(2))), 83.76e9, 0.01e9)
	near("outside the experts", float64(Active(c, uniform(0))), 6.447e9, 0.001e9)
	near("experts hit by 4 tokens", ExpertsHit(8, 2, 4), 5.47, 0.01)
	// Bytes that n tokens read together, over those of one, when every weight takes the same.
	plain := func(model.Tensor) Stored { return Stored{} }
	one := float64(ReadBytes(c, plain, 0, uniform(2), 1))
	for n, want := range map[int]float64{1: 1, 2: 1.69, 3: 2.21, 4: 2.60, 5: 2.89, 8: 3.40, 16: 3.73, 32: 3.77} {
		near("reading for several tokens", float64(ReadBytes(c, plain, 0, uniform(2), n))/one, want, 0.011)
	}
}

func TestExpertsHit(t *testing.T) {
	for _, test := range []struct {
		experts, selected, tokens int
		want                      float64
	}{{8, 2, 1, 2}, {8, 2, 2, 3.5}, {8, 8, 1, 8}, {8, 8, 9, 8}, {8, 0, 5, 0}, {5, 1, 1, 1}, {1, 1, 1, 1}, {16, 3, 1, 3}} {
		if got := ExpertsHit(test.experts, test.selected, test.tokens); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("ExpertsHit(%d, %d, %d) = %v, want %v", test.experts, test.selected, test.tokens, got, test.want)
		}
	}
}
