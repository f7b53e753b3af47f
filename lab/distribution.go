package lab

import (
	"errors"
	"math"
)

// Distribution is the softmax of a row of logits, in float64.
type Distribution struct {
	Logs      []float64 // [V], natural logarithms of the probabilities
	Probs     []float64 // [V]
	Likeliest int       // ties to the lowest id
}

// NewDistribution makes one for a vocabulary of so many tokens; Set fills it.
func NewDistribution(vocab int) *Distribution {
	return &Distribution{Logs: make([]float64, vocab), Probs: make([]float64, vocab)}
}

// Set takes the softmax of logits [V]. It fails where they are not numbers, or no probabilities come of them.
func (d *Distribution) Set(logits []float32) error {
	d.Likeliest = 0
	for i, l := range logits {
		if l > logits[d.Likeliest] {
			d.Likeliest = i
		}
	}
	top, sum := float64(logits[d.Likeliest]), 0.0
	for i, l := range logits {
		d.Logs[i] = float64(l) - top
		d.Probs[i] = math.Exp(d.Logs[i])
		sum += d.Probs[i]
	}
	norm := math.Log(sum)
	if math.IsNaN(norm) {
		return errors.New("logits hold NaN or only infinities: the weights or the arithmetic overflow")
	}
	for i := range d.Logs {
		d.Logs[i] -= norm
		d.Probs[i] /= sum
	}
	return nil
}

// Divergence is Kullback and Leibler's of q from d, sum d (ln d - ln q), in nats. Rounding can bring the sum of two
// that are all but equal a little below zero: then it is 0. It is infinite where q rules out what d does not.
func (d *Distribution) Divergence(q *Distribution) float64 {
	sum := 0.0
	for i, p := range d.Probs {
		if p > 0 { // 0 ln 0 is 0
			sum += p * (d.Logs[i] - q.Logs[i])
		}
	}
	return max(sum, 0)
}
