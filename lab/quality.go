package lab

import "math"

// Document is a text to judge on its own.
type Document struct {
	Name   string // for messages and tables
	Domain string // "": none
	IDs    []int32
}

// Judged is how many of its tokens are judged: all but the first.
func (d *Document) Judged() int { return max(len(d.IDs)-1, 0) }

// Quality is what documents have brought under a policy, as sums over their tokens judged, so that those of several
// documents add up. Its names in JSON are a promise.
type Quality struct {
	Tokens int     `json:"tokens"` // judged
	Loss   float64 `json:"loss"`   // sum of -ln p of the tokens, nats
	// KL is the sum of the Kullback-Leibler divergences of the policy's distributions from the base's, nats; Same is
	// at how many positions both have the same likeliest token. Both are 0 where a judge does not compare.
	KL   float64 `json:"kl"`
	Same int     `json:"same"`
	// Experts is how many experts the rows behind the judged tokens used, over all layers.
	Experts int64 `json:"experts"`
}

// Add adds what other documents have brought.
func (q *Quality) Add(o Quality) {
	q.Tokens += o.Tokens
	q.Loss = finite(q.Loss + o.Loss)
	q.KL = finite(q.KL + o.KL)
	q.Same += o.Same
	q.Experts += o.Experts
}

// finite bounds a sum, since JSON has no infinity.
func finite(v float64) float64 { return min(v, math.MaxFloat64) }

// per is a share of the tokens; 0 where there are none.
func (q Quality) per(v float64) float64 { return v / float64(max(q.Tokens, 1)) }

// MeanLoss is the mean of -ln p, in nats a token.
func (q Quality) MeanLoss() float64 { return q.per(q.Loss) }

// Perplexity is e to the mean loss, at most the largest float64.
func (q Quality) Perplexity() float64 { return finite(math.Exp(q.MeanLoss())) }

// MeanKL is the mean divergence from the base, in nats a token.
func (q Quality) MeanKL() float64 { return q.per(q.KL) }

// Agreement is the share of positions where the likeliest token is the base's.
func (q Quality) Agreement() float64 { return q.per(float64(q.Same)) }

// ExpertsPerToken is the mean number of experts that a row used, over all layers.
func (q Quality) ExpertsPerToken() float64 { return q.per(float64(q.Experts)) }
