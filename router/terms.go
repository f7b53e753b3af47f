package router

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// parser is a rule in the making.
type parser struct {
	Rule
	sizes Sizes
	seen  map[string]bool
}

// parseRule reads terms.
func parseRule(terms string, m Sizes) (*Rule, error) {
	p := parser{sizes: m, seen: map[string]bool{}}
	for term := range strings.SplitSeq(terms, "+") {
		name, value, valued := strings.Cut(term, ":")
		if err := p.term(strings.TrimSpace(name), value, valued); err != nil {
			return nil, err
		}
	}
	if !p.seen[howMany] {
		p.Count = min(m.Selected, max(1, m.Experts-len(p.Mask)))
	}
	r := p.Rule
	if r.How.counted() && (r.Min > 0 || r.Max > 0) {
		return nil, fmt.Errorf("min and max are for top-p and threshold")
	}
	if p.seen["seed"] && r.Noise == 0 && r.How != Random {
		return nil, fmt.Errorf("seed is for noise and random")
	}
	return &r, r.fits(m.Experts)
}

// howMany is what the terms are called together of which a rule has one.
const howMany = "how many experts"

var kinds = map[string]How{"top-k": TopK, "random": Random, "round-robin": RoundRobin, "top-p": TopP, "threshold": Threshold}

func (p *parser) term(name, value string, valued bool) (err error) {
	how, isHow := kinds[name]
	if !valued && name != "all" && name != "renormalise" && name != "renormalize" {
		if _, isTerm := p.setters()[name]; isTerm || isHow {
			return fmt.Errorf("%s without a value", name)
		}
		if name != "" && name[0] >= 'a' && name[0] <= 'z' {
			return fmt.Errorf("%q is no term", clip(name))
		}
		isHow, how, value = true, TopK, name // a count
	}
	if name == "all" {
		isHow, how, value = true, TopK, strconv.Itoa(p.sizes.Experts)
	}
	if isHow {
		if err := p.once(howMany); err != nil {
			return err
		}
		p.How = how
		if how.counted() {
			p.Count, err = number("count", value, 1, min(p.sizes.Experts, math.MaxUint16))
		} else {
			p.Share, err = fraction(name, value, 0, 1)
		}
		return err
	}
	if name == "renormalize" {
		name = "renormalise"
	}
	set, ok := p.setters()[name]
	if !ok {
		return fmt.Errorf("%q is no term", clip(name))
	}
	if valued && name == "renormalise" {
		return fmt.Errorf("renormalise has no value")
	}
	if err := p.once(name); err != nil {
		return err
	}
	return set(value)
}

func (p *parser) once(what string) error {
	if p.seen[what] {
		return fmt.Errorf("%s is said twice", what)
	}
	p.seen[what] = true
	return nil
}

func (p *parser) setters() map[string]func(string) error {
	e := p.sizes.Experts
	integer := func(name string, to *int) func(string) error {
		return func(s string) (err error) { *to, err = number(name, s, 1, e); return err }
	}
	experts := func(name string, to *[]int) func(string) error {
		return func(s string) (err error) { *to, err = expertList(name, s, e); return err }
	}
	return map[string]func(string) error{
		"min": integer("min", &p.Min), "max": integer("max", &p.Max),
		"mask": experts("mask: expert", &p.Mask), "force": experts("force: expert", &p.Force),
		"temperature": func(s string) (err error) {
			p.Temperature, err = fraction("temperature", s, 0, maxTemperature)
			return err
		},
		"noise": func(s string) (err error) { p.Noise, err = fraction("noise", s, 0, maxNoise); return err },
		"seed": func(s string) (err error) {
			if p.Seed, err = strconv.ParseUint(strings.TrimSpace(s), 10, 64); err != nil {
				err = fmt.Errorf("seed %q, want a whole number, 0 or more", clip(s))
			}
			return err
		},
		"replace":     p.replace,
		"renormalise": func(string) error { p.Renormalise = true; return nil },
	}
}

// expertList reads experts, in any order.
func expertList(what, s string, experts int) (list []int, err error) {
	for item := range strings.SplitSeq(s, ",") {
		e, err := number(what, item, 0, experts-1)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.Sort(list)
	return list, nil
}

func (p *parser) replace(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(item, ">")
		if !ok {
			return fmt.Errorf("replace %q, want pairs such as 3>5", clip(item))
		}
		a, err := number("replace: expert", from, 0, p.sizes.Experts-1)
		if err != nil {
			return err
		}
		b, err := number("replace: expert", to, 0, p.sizes.Experts-1)
		if err != nil {
			return err
		}
		p.Replace = append(p.Replace, Replacement{a, b})
	}
	slices.SortStableFunc(p.Replace, func(a, b Replacement) int { return a.From - b.From })
	return nil
}
