package router

import (
	"fmt"
	"slices"
)

// How is the way in which a row gets its experts.
type How uint8

const (
	TopK       How = iota // the Count likeliest
	TopP                  // the fewest likeliest whose probabilities sum to Share
	Threshold             // those at least Share times as likely as the likeliest
	Random                // Count at random, whatever the router says: a baseline
	RoundRobin            // Count in turn, by position: a baseline
)

var hows = [...]string{TopK: "top-k", TopP: "top-p", Threshold: "threshold", Random: "random", RoundRobin: "round-robin"}

func (h How) String() string {
	if int(h) < len(hows) {
		return hows[h]
	}
	return fmt.Sprintf("How(%d)", h)
}

// counted tells whether Count says how many experts a row gets.
func (h How) counted() bool { return h != TopP && h != Threshold }

// Rule says how the rows of a request get their experts in a layer. The order is: temperature and noise make other
// probabilities of the router's; Mask and Force bound the choice; How chooses; the gates are the probabilities, or
// with Renormalise their shares; Replace has other experts compute.
type Rule struct {
	How   How
	Count int // TopK, Random, RoundRobin
	// Share is of TopP the sum to reach, as a part of the sum over experts that are not masked; of Threshold the
	// least probability, as a part of the likeliest's. Above 0, at most 1.
	Share float64
	// Min and Max bound what TopP and Threshold choose; 0: 1 expert, and all.
	Min, Max int

	Temperature float64 // of the router logits, above 0; 0: 1
	Noise       float64 // standard deviation of the noise on them
	Seed        uint64  // of Noise and Random

	Mask    []int         // experts that are never chosen, ascending
	Force   []int         // experts that are always chosen, ascending; they count
	Replace []Replacement // by From, ascending

	Renormalise bool // gates sum to 1 (norm_topk_prob of other models)

	// observe has the experts that were left out computed, too, with gates of 0.
	observe bool
}

// Replacement has expert To compute what was chosen for From, with From's gate.
type Replacement struct{ From, To int }

// plain tells that a row gets the Count likeliest and nothing else happens.
func (r *Rule) plain() bool {
	return r.How == TopK && r.Temperature == 0 && r.Noise == 0 && len(r.Mask) == 0 && len(r.Force) == 0 &&
		len(r.Replace) == 0 && !r.Renormalise && !r.observe
}

// Most is the most experts that a row of a layer with so many gets.
func (r *Rule) Most(experts int) int {
	switch {
	case r.observe:
		return experts
	case r.How.counted():
		return max(r.Count, len(r.Force))
	}
	n := experts - len(r.Mask)
	if r.Max > 0 {
		n = min(n, r.Max)
	}
	return max(n, len(r.Force))
}

// fits checks a rule against the number of experts of a layer.
func (r *Rule) fits(experts int) error {
	if err := r.fitLists(experts); err != nil {
		return err
	}
	left := experts - len(r.Mask)
	bound := func(what string, n, low int) error {
		if n >= low && n <= left {
			return nil
		}
		if len(r.Mask) > 0 {
			return fmt.Errorf("%s %d, want %d to %d, as %d of %d experts are masked", what, n, low, left, len(r.Mask), experts)
		}
		return fmt.Errorf("%s %d, want %d to %d", what, n, low, left)
	}
	if r.How > RoundRobin {
		return fmt.Errorf("%v: no way to choose experts", r.How)
	}
	if r.How.counted() {
		return bound("count", r.Count, 1)
	}
	if !(r.Share > 0 && r.Share <= 1) {
		return fmt.Errorf("%v %v, want above 0, at most 1", r.How, r.Share)
	}
	if err := bound("min", r.Min, 0); err != nil {
		return err
	}
	if err := bound("max", r.Max, 0); err != nil {
		return err
	}
	if r.Max > 0 && r.Min > r.Max {
		return fmt.Errorf("min %d is above max %d", r.Min, r.Max)
	}
	return nil
}

func (r *Rule) fitLists(experts int) error {
	if err := ascending("mask", r.Mask, experts); err != nil {
		return err
	}
	if err := ascending("force", r.Force, experts); err != nil {
		return err
	}
	if len(r.Mask) == experts {
		return fmt.Errorf("mask: all %d experts are masked, want one left at least", experts)
	}
	masked := func(e int) bool { _, found := slices.BinarySearch(r.Mask, e); return found }
	for _, e := range r.Force {
		if masked(e) {
			return fmt.Errorf("expert %d is both masked and forced", e)
		}
	}
	last := -1
	for _, p := range r.Replace {
		switch {
		case p.From < 0 || p.From >= experts || p.To < 0 || p.To >= experts:
			return fmt.Errorf("replace %d>%d, want experts 0 to %d", p.From, p.To, experts-1)
		case p.From <= last:
			return fmt.Errorf("replace: expert %d is replaced twice", p.From)
		case masked(p.To):
			return fmt.Errorf("replace %d>%d: expert %d is masked", p.From, p.To, p.To)
		}
		last = p.From
	}
	if !(r.Temperature >= 0 && r.Temperature <= maxTemperature) {
		return fmt.Errorf("temperature %v, want above 0, at most %v", r.Temperature, maxTemperature)
	}
	if !(r.Noise >= 0 && r.Noise <= maxNoise) {
		return fmt.Errorf("noise %v, want 0 to %v", r.Noise, maxNoise)
	}
	return nil
}

// Bounds of temperature and noise: beyond them the router's say is nothing, or rounding's.
const (
	maxTemperature = 1000
	maxNoise       = 1000
)

// ascending checks a list of experts, which has each once.
func ascending(what string, list []int, experts int) error {
	last := -1
	for _, e := range list {
		switch {
		case e < 0 || e >= experts:
			return fmt.Errorf("%s: expert %d, want 0 to %d", what, e, experts-1)
		case e == last:
			return fmt.Errorf("%s: expert %d twice", what, e)
		case e < last:
			return fmt.Errorf("%s: experts %v, want them ascending", what, list)
		}
		last = e
	}
	return nil
}
