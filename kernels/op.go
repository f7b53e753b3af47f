package kernels

import "fmt"

// Op is one piece of mathematics; Table describes it.
type Op uint8

// The ops of the Grok-1 family, in the order in which a layer meets them.
const (
	Embed Op = iota
	RMSNorm
	Linear
	RoPE
	Attend
	Route
	Expert
	Combine
	Add
	Head
	NumOps
)

// Def is what the op table knows of an op. The shapes use rows n, embedding size D, inputs K, outputs N,
// query heads H, KV heads G, key size d, experts E, ffn width F, vocabulary V, pairs (row, rank) P.
type Def struct {
	Name    string
	In, Out string // operand shapes
	Weights string // weight shapes, "" when the op has none
	Formula string // in words; kernels/ref holds the code
	Order   string // the canonical reduction order (N1)
	Source  string // where the formula comes from
}

// Table describes every op; it drives checks, the conformance suite, benchmarks and documentation.
var Table = [NumOps]Def{
	Embed: {
		Name: "embed", In: "tokens [n]", Out: "hidden [n D]", Weights: "embedding [V D]",
		Formula: "hidden = embedding[token] * multiplier", Order: "none",
		Source: "xai-org/grok-1 model.py InOutEmbed, LanguageModel",
	},
	RMSNorm: {
		Name: "rmsnorm", In: "x [n D]", Out: "y [n D]", Weights: "scale [D]",
		Formula: "y = scale * (x / sqrt(mean(x*x) + eps))",
		Order:   "sum of squares: lane sums (order.go), folded by halves",
		Source:  "arXiv 1910.07467; xai-org/grok-1 model.py RMSNorm",
	},
	Linear: {
		Name: "linear", In: "x [n K]", Out: "y [n N], one per weight", Weights: "w [K N], int8 with scales [groups N] or float32",
		Formula: "y = x · w", Order: "blocks of inputs (order.go)",
		Source: "xai-org/grok-1 model.py Linear",
	},
	RoPE: {
		Name: "rope", In: "q [n H d], k [n G d]", Out: "q, k rotated",
		Formula: "halves (a, b) become (a cos - b sin, b cos + a sin) with angle position * base^(-2i/d)", Order: "none",
		Source: "arXiv 2104.09864; xai-org/grok-1 model.py RotaryEmbedding",
	},
	Attend: {
		Name: "attend", In: "q [n H d], k [n G d], v [n G d], KV cache", Out: "y [n H d]",
		Formula: "store k, v in the cache; y = softmax(cap * tanh(q·k * multiplier / cap)) · v over the keys a row may see",
		Order:   "q·k sequential over d; keys in blocks of 128 from position 0 (order.go)",
		Source:  "xai-org/grok-1 model.py MultiHeadAttention",
	},
	Route: {
		Name: "route", In: "x [n D]", Out: "probabilities [n E]", Weights: "router [D E] float32",
		Formula: "softmax(x · router) over all experts, in float32",
		Order:   "dots: blocks of inputs; softmax sum: sequential over experts",
		Source:  "xai-org/grok-1 model.py Router",
	},
	Expert: {
		Name: "expert", In: "x [n D], work (rows, destinations)", Out: "parts [P D]", Weights: "gate [D F], up [D F], down [F D]",
		Formula: "part = (gelu(x·gate) * (x·up)) · down for the rows of the work", Order: "blocks of inputs, in each of the three matrices",
		Source: "xai-org/grok-1 model.py MoELayer, DenseBlock; gelu in the tanh form, arXiv 1606.08415",
	},
	Combine: {
		Name: "combine", In: "parts [P D], gates [P]", Out: "y [n D]",
		Formula: "y = sum over ranks of gate * part", Order: "rank order, never order of arrival",
		Source: "xai-org/grok-1 model.py MoELayer",
	},
	Add: {
		Name: "add", In: "a [n D], b [n D]", Out: "y [n D]",
		Formula: "y = a + b", Order: "none", Source: "xai-org/grok-1 model.py DecoderLayer",
	},
	Head: {
		Name: "head", In: "x [n D], rows to draw from", Out: "logits [draws V]", Weights: "embedding [V D]",
		Formula: "logits = (x · embedding^T) * multiplier", Order: "blocks of inputs",
		Source: "xai-org/grok-1 model.py InOutEmbed.decode, LanguageModel",
	},
}

func (o Op) String() string {
	if o < NumOps {
		return Table[o].Name
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Arith is an arithmetic (N2), chosen for a whole run.
type Arith uint8

const (
	// Int8 quantises activations per block to int8 and sums in int32 wherever the weight is int8, and
	// so in the head, whose float32 matrix it quantises as well (quantise.go); everything else is as in
	// Exact. The fast default.
	Int8 Arith = iota
	// Exact keeps float32 activations and sums; int8 weights are multiplied by their scale after the
	// sum of a scale group. It agrees with the float32 run of the reference to a few 1e-5.
	Exact
	// Reference repeats the bfloat16 roundings of xai-org/grok-1 step by step, sums in float32.
	Reference
)

var ariths = []string{Int8: "int8", Exact: "exact", Reference: "reference"}

func (a Arith) String() string {
	if int(a) < len(ariths) {
		return ariths[a]
	}
	return fmt.Sprintf("arith(%d)", uint8(a))
}

// ParseArith reads the name of an arithmetic.
func ParseArith(s string) (Arith, error) {
	for a, name := range ariths {
		if s == name {
			return Arith(a), nil
		}
	}
	return 0, fmt.Errorf("kernels: arithmetic %q, want one of exact, int8, reference", s)
}
