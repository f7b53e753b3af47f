package router

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sizes are the numbers of the model that a policy must fit.
type Sizes struct {
	Layers   int
	Experts  int // experts of a layer
	Selected int // experts a row uses where the policy does not say otherwise (num_selected_experts)
}

// Policy says how many experts a row uses in each layer. It is immutable, and equal policies compare
// equal with ==. The zero Policy is no policy: take one from [Parse] or [Uniform].
type Policy struct {
	every int // count in every layer; 0: see each
	// each is a uint16 per layer, little-endian, when the layers differ. A string, because strings are
	// immutable and compare by value.
	each string
}

// Uniform is the policy of k experts in every layer, 1 <= k.
func Uniform(k int) Policy { return Policy{every: k} }

// Count is the number of experts a row uses in a layer of the model that the policy was made for.
func (p Policy) Count(layer int) int {
	if p.each == "" {
		return p.every
	}
	return int(p.each[2*layer]) | int(p.each[2*layer+1])<<8
}

// grammar ends every message of Parse.
const grammar = `give a count such as "2", or counts for layers such as "0-2:1,3-5:4"`

// Parse reads a policy: a count for every layer ("2"), or counts for layers ("0-2:1,5:4", last layers
// included), where layers not named use m.Selected.
func Parse(spec string, m Sizes) (Policy, error) {
	fail := func(format string, a ...any) (Policy, error) {
		return Policy{}, fmt.Errorf("router: experts %q: %s: %s", spec, fmt.Sprintf(format, a...), grammar)
	}
	if !strings.Contains(spec, ":") {
		k, err := number("count", spec, 1, min(m.Experts, math.MaxUint16))
		if err != nil {
			return fail("%v", err)
		}
		return Uniform(k), nil
	}
	counts := make([]int, m.Layers) // 0: not named
	for item := range strings.SplitSeq(spec, ",") {
		layers, count, ok := strings.Cut(item, ":")
		if !ok {
			return fail("%q has no colon", item)
		}
		from, to, isRange := strings.Cut(layers, "-")
		if !isRange {
			to = from
		}
		first, err := number("layer", from, 0, m.Layers-1)
		if err != nil {
			return fail("%v", err)
		}
		last, err := number("layer", to, 0, m.Layers-1)
		if err != nil {
			return fail("%v", err)
		}
		if last < first {
			return fail("layers %q run backwards", layers)
		}
		k, err := number("count", count, 1, min(m.Experts, math.MaxUint16))
		if err != nil {
			return fail("%v", err)
		}
		for l := first; l <= last; l++ {
			if counts[l] != 0 {
				return fail("layer %d is named twice", l)
			}
			counts[l] = k
		}
	}
	return fromCounts(counts, m.Selected), nil
}

// number reads a decimal of digits alone, within bounds.
func number(what, s string, low, high int) (int, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(v) < low || int(v) > high {
		return 0, fmt.Errorf("%s %q, want %d to %d", what, s, low, high)
	}
	return int(v), nil
}

// fromCounts makes the policy of these counts by layer, selected where a count is 0.
func fromCounts(counts []int, selected int) Policy {
	each := make([]byte, 0, 2*len(counts))
	same := true
	for l, k := range counts {
		if k == 0 {
			k = selected
			counts[l] = k
		}
		same = same && k == counts[0]
		each = binary.LittleEndian.AppendUint16(each, uint16(k))
	}
	if same {
		return Uniform(counts[0])
	}
	return Policy{each: string(each)}
}

// String is the policy in the form that Parse reads; it names every layer where they differ.
func (p Policy) String() string {
	if p.each == "" {
		return strconv.Itoa(p.every)
	}
	var b strings.Builder
	layers := len(p.each) / 2
	for first := 0; first < layers; {
		last := first
		for last+1 < layers && p.Count(last+1) == p.Count(first) {
			last++
		}
		if first > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		if last > first {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(p.Count(first)))
		first = last + 1
	}
	return b.String()
}
