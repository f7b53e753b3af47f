package router

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Grammar is what Parse reads, for help and messages.
const Grammar = `PART[;PART…], where PART is [LAYERS:]TERM[+TERM…] and LAYERS is a layer (5) or
the first and last of a range (0-2); a part without layers is for all that no
other part names.
  how many   N or top-k:N   the N likeliest experts
             all            every expert
             top-p:P        the fewest whose probabilities sum to P
             threshold:B    those at least B times as likely as the likeliest
             random:N, round-robin:N   whatever the router says: baselines
             min:N, max:N   bounds for top-p and threshold
  which      mask:E,E       never these        force:E,E  always these
             replace:E>F    F computes what was chosen for E
  router     temperature:T  divides its logits
             noise:S        adds normal noise of standard deviation S to them
             seed:N         of noise and random
  gates      renormalise    to sum to 1`

// maxSpec bounds the text of a policy: each of many layers may have masks of its own.
const maxSpec = 1 << 20

// Parse reads a policy, as Grammar has it: a count ("2"), counts for layers ("0-2:1,3-5:4", last layers included),
// or rules ("top-p:0.9+max:4;5:2+mask:3,5"). Layers not named, and rules that do not say how many, use m.Selected.
func Parse(spec string, m Sizes) (Policy, error) {
	p, err := parse(spec, m)
	if err != nil {
		if len(spec) > 60 {
			spec = spec[:60] + "…"
		}
		return Policy{}, fmt.Errorf("router: experts %q: %w: %s", spec, err, brief)
	}
	return p, nil
}

// brief ends every message of Parse.
const brief = `give a count ("2"), counts for layers ("0-2:1,3-5:4"), or rules ("top-p:0.9+max:4", "threshold:0.5", "2+mask:3,5", "0-2:1;3-5:all"; troupe help experts lists them)`

func parse(spec string, m Sizes) (Policy, error) {
	if len(spec) > maxSpec {
		return Policy{}, fmt.Errorf("%d bytes, want at most %d", len(spec), maxSpec)
	}
	usual := Rule{Count: m.Selected}
	named := make([]*Rule, m.Layers)
	whole := false
	for _, part := range parts(spec) {
		first, last, terms, err := layersOf(part, m.Layers)
		if err != nil {
			return Policy{}, err
		}
		rule, err := parseRule(terms, m)
		if err != nil {
			return Policy{}, err
		}
		if first < 0 {
			if whole {
				return Policy{}, fmt.Errorf("%q is a second part for all layers", strings.TrimSpace(part))
			}
			whole, usual = true, *rule
			continue
		}
		for l := first; l <= last; l++ {
			if named[l] != nil {
				return Policy{}, fmt.Errorf("layer %d is named twice", l)
			}
			named[l] = rule
		}
	}
	if !slices.ContainsFunc(named, func(r *Rule) bool { return r != nil }) {
		return Of(usual), nil
	}
	rules := make([]Rule, m.Layers)
	for l := range rules {
		rules[l] = *cmp.Or(named[l], &usual)
	}
	return Of(rules...), nil
}

// parts cuts a spec at semicolons, and at commas behind which layers are named: others are within lists.
func parts(spec string) (list []string) {
	for piece := range strings.SplitSeq(spec, ";") {
		from := 0
		for i := 0; i < len(piece); i++ {
			if piece[i] == ',' {
				if _, _, ok := cutLayers(piece[i+1:]); ok {
					list, from = append(list, piece[from:i]), i+1
				}
			}
		}
		list = append(list, piece[from:])
	}
	return list
}

// cutLayers cuts "0-2:" or "5:" off a part. It looks no further than at the first sign that names no layer, so that
// a long part may be cut at each of its commas.
func cutLayers(part string) (layers, rest string, ok bool) {
	rest = strings.TrimLeft(part, "0123456789- ")
	layers = part[:len(part)-len(rest)]
	rest, ok = strings.CutPrefix(rest, ":")
	return layers, rest, ok
}

// layersOf reads the layers of a part; first is -1 where none are named.
func layersOf(part string, layers int) (first, last int, terms string, err error) {
	names, rest, ok := cutLayers(part)
	if !ok {
		return -1, -1, part, nil
	}
	from, to, isRange := strings.Cut(names, "-")
	if !isRange {
		to = from
	}
	if first, err = number("layer", from, 0, layers-1); err != nil {
		return 0, 0, "", err
	}
	if last, err = number("layer", to, 0, layers-1); err != nil {
		return 0, 0, "", err
	}
	if last < first {
		return 0, 0, "", fmt.Errorf("layers %q run backwards", names)
	}
	return first, last, rest, nil
}

// number reads a decimal of digits alone, within bounds.
func number(what, s string, low, high int) (int, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(v) < low || int(v) > high {
		return 0, fmt.Errorf("%s %q, want %d to %d", what, clip(s), low, high)
	}
	return int(v), nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// fraction reads a number above low, at most high.
func fraction(what, s string, low, high float64) (float64, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || v <= low || v > high {
		return 0, fmt.Errorf("%s %q, want above %v, at most %v", what, clip(s), low, high)
	}
	return v, nil
}
