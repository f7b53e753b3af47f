package kernels

import "math"

// Slot numbers a buffer of a Frame. The plan of a model family names its slots and gives their widths.
type Slot uint8

// Call is one op with everything but the memory it works on. Which operands an op takes, in order:
//
//	Embed    Out: hidden               Weights: embedding
//	RMSNorm  In: x        Out: y       Weights: scale (In = 1, Out = D)
//	Linear   In: x        Out: y...    Weights: one per output
//	RoPE     In: q, k     Out: q, k
//	Attend   In: q, k, v  Out: y
//	Route    In: x        Out: probs   Weights: router
//	Expert   In: x        Out: parts   Weights: gate, up, down
//	Combine  In: parts    Out: y
//	Add      In: a, b     Out: y
//	Head     In: x        Out: logits  Weights: embedding, by output
type Call struct {
	Op      Op
	Layer   int // -1 outside the layers
	In, Out []Slot
	Weights []*Weight
	Params
}

// Params are the constants of a call; each op uses those its formula names.
type Params struct {
	Multiplier              float32 // Embed, Head: factor; Attend: factor of the logits before the cap
	Cap                     float32 // Attend: bound of the logits
	Eps                     float32 // RMSNorm: added to the mean square
	Heads, KVHeads, KeySize int     // RoPE, Attend
	Rope                    *Rope   // RoPE
}

// Rope holds cosines and sines of every position's angles, float32 [positions KeySize/2].
type Rope struct{ Cos, Sin []float32 }

// NewRope computes the table for the half-split rotary embedding (arXiv 2104.09864). As in the
// reference the frequency base^(-2i/keySize) and the angle position*frequency are float32; their cosine
// and sine are taken in float64 and rounded once.
func NewRope(base float64, keySize, positions int) *Rope {
	half := keySize / 2
	r := &Rope{Cos: make([]float32, positions*half), Sin: make([]float32, positions*half)}
	for i := range half {
		freq := float32(1 / math.Pow(base, float64(2*i)/float64(keySize)))
		for p := range positions {
			sin, cos := math.Sincos(float64(float32(p) * freq))
			r.Cos[p*half+i], r.Sin[p*half+i] = float32(cos), float32(sin)
		}
	}
	return r
}

// Segment is a run of calls with no hand-over inside: a library compiles it whole, and a library in
// another process is crossed once for all of it.
type Segment struct {
	Arith Arith
	Calls []Call
}
