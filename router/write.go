package router

import (
	"strconv"
	"strings"
)

// write joins the texts of rules: counts alone by commas, others by semicolons.
func (p *Policy) write(texts []string) string {
	if len(p.rules) == 1 {
		return texts[0]
	}
	sep := byte(',')
	for l := range p.rules {
		if !p.rules[l].plain() {
			sep = ';'
		}
	}
	var b strings.Builder
	for first := 0; first < len(texts); {
		last := first
		for last+1 < len(texts) && texts[last+1] == texts[first] {
			last++
		}
		if first > 0 {
			b.WriteByte(sep)
		}
		b.WriteString(strconv.Itoa(first))
		if last > first {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
		b.WriteByte(':')
		b.WriteString(texts[first])
		first = last + 1
	}
	return b.String()
}

// String is the rule in the form that Parse reads.
func (r *Rule) String() string {
	var terms []string
	add := func(name, value string) { terms = append(terms, name+":"+value) }
	switch {
	case r.How == TopK:
		terms = append(terms, strconv.Itoa(r.Count))
	case r.How.counted():
		add(r.How.String(), strconv.Itoa(r.Count))
	default:
		add(r.How.String(), decimal(r.Share))
	}
	for _, t := range []struct {
		name  string
		value int
	}{{"min", r.Min}, {"max", r.Max}} {
		if t.value > 0 {
			add(t.name, strconv.Itoa(t.value))
		}
	}
	if r.Temperature > 0 {
		add("temperature", decimal(r.Temperature))
	}
	if r.Noise > 0 {
		add("noise", decimal(r.Noise))
	}
	if r.Seed > 0 && (r.Noise > 0 || r.How == Random) {
		add("seed", strconv.FormatUint(r.Seed, 10))
	}
	if len(r.Mask) > 0 {
		add("mask", commas(r.Mask, strconv.Itoa))
	}
	if len(r.Force) > 0 {
		add("force", commas(r.Force, strconv.Itoa))
	}
	if len(r.Replace) > 0 {
		add("replace", commas(r.Replace, func(p Replacement) string { return strconv.Itoa(p.From) + ">" + strconv.Itoa(p.To) }))
	}
	if r.Renormalise {
		terms = append(terms, "renormalise")
	}
	if r.observe {
		terms = append(terms, "observed") // Parse does not know it
	}
	return strings.Join(terms, "+")
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func commas[T any](list []T, text func(T) string) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = text(v)
	}
	return strings.Join(texts, ",")
}
