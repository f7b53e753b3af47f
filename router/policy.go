package router

import (
	"errors"
	"fmt"
	"slices"
)

// Sizes are the numbers of the model that a policy must fit.
type Sizes struct {
	Layers   int
	Experts  int // experts of a layer
	Selected int // experts a row uses where the policy does not say otherwise (num_selected_experts)
}

// Policy says how the rows of a request get their experts, layer by layer. It is immutable. The zero Policy is no
// policy: take one from [Parse], [Uniform], [Counts] or [Of].
type Policy struct {
	rules []Rule // by layer; a single one is for every layer
	text  string
}

// Uniform is the policy of the k likeliest experts in every layer, 1 <= k.
func Uniform(k int) Policy { return Of(Rule{Count: k}) }

// Counts is the policy of the counts[l] likeliest experts in layer l.
func Counts(counts []int) Policy {
	rules := make([]Rule, len(counts))
	for l, k := range counts {
		rules[l].Count = k
	}
	return Of(rules...)
}

// Of is the policy of a rule for each layer, or of one for every layer. It keeps the rules. [Policy.Fits] says
// whether a model can follow them.
func Of(rules ...Rule) Policy {
	if len(rules) == 0 {
		return Policy{}
	}
	texts := make([]string, len(rules))
	for l := range rules {
		texts[l] = rules[l].String()
	}
	if texts[0] != "" && !slices.ContainsFunc(texts, func(s string) bool { return s != texts[0] }) {
		rules = rules[:1:1]
	}
	p := Policy{rules: rules}
	p.text = p.write(texts)
	return p
}

// Rule is that of a layer. Its lists are not to be changed.
func (p *Policy) Rule(layer int) *Rule {
	if len(p.rules) == 1 {
		return &p.rules[0]
	}
	return &p.rules[layer]
}

// Most is the most experts that a row gets in a layer with so many; 0 for no policy.
func (p Policy) Most(layer, experts int) int {
	if len(p.rules) == 0 {
		return 0
	}
	return p.Rule(layer).Most(experts)
}

// Fixed tells whether every row gets as many experts in a layer as Most says.
func (p Policy) Fixed() bool {
	return !slices.ContainsFunc(p.rules, func(r Rule) bool { return !r.How.counted() && !r.observe })
}

// Random tells whether seeds matter.
func (p Policy) Random() bool {
	return slices.ContainsFunc(p.rules, func(r Rule) bool { return r.How == Random || r.Noise > 0 })
}

// Seeded is the policy with another seed in every rule.
func (p Policy) Seeded(seed uint64) Policy {
	return p.each(func(r *Rule) { r.Seed = seed })
}

// Observed is the policy under which all experts of a layer compute every row. Those that the policy leaves out get
// gates of 0, so that hidden states stay the same: it is for looking at what experts would have said.
func (p Policy) Observed() Policy {
	return p.each(func(r *Rule) { r.observe = true })
}

func (p Policy) each(change func(*Rule)) Policy {
	rules := slices.Clone(p.rules)
	for l := range rules {
		change(&rules[l])
	}
	return Of(rules...)
}

// Equal tells whether two policies are the same for every model.
func (p Policy) Equal(other Policy) bool { return p.text == other.text }

// Fits says why a model cannot follow the policy, naming the layer; nil: it can.
func (p Policy) Fits(m Sizes) error {
	if len(p.rules) == 0 {
		return errors.New("router: no policy: want one of Parse or Uniform")
	}
	if len(p.rules) != 1 && len(p.rules) != m.Layers {
		return fmt.Errorf("router: a policy for %d layers, want %d", len(p.rules), m.Layers)
	}
	for l := range p.rules {
		if err := p.rules[l].fits(m.Experts); err != nil {
			return fmt.Errorf("router: layer %d: %w", l, err)
		}
	}
	return nil
}

// String is the policy in the form that Parse reads; it names every layer where they differ.
func (p Policy) String() string { return p.text }
