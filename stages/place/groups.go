package place

import (
	"fmt"
	"slices"
	"strconv"
)

// Group is a set of experts that live on one device in several layers.
type Group struct {
	Device          int
	Layers, Experts []int // ascending
	Tag             int   // that the caller gave them
}

// Groups collects the experts of a plan: those of a layer that share device and tag, and the layers in which they are
// the same. The groups are in the order of their first layers and experts. tag may be nil.
func (p Plan) Groups(tag func(layer, expert int) int) []Group {
	type key struct {
		device, tag int
		experts     string
	}
	var groups []*Group
	known := map[key]*Group{}
	for l, homes := range p.Experts {
		var here []*Group
		for e, device := range homes {
			t := 0
			if tag != nil {
				t = tag(l, e)
			}
			i := slices.IndexFunc(here, func(g *Group) bool { return g.Device == device && g.Tag == t })
			if i < 0 {
				i, here = len(here), append(here, &Group{Device: device, Layers: []int{l}, Tag: t})
			}
			here[i].Experts = append(here[i].Experts, e)
		}
		for _, g := range here {
			k := key{g.Device, g.Tag, fmt.Sprint(g.Experts)}
			if before := known[k]; before != nil {
				before.Layers = append(before.Layers, l)
				continue
			}
			known[k] = g
			groups = append(groups, g)
		}
	}
	list := make([]Group, len(groups))
	for i, g := range groups {
		list[i] = *g
	}
	return list
}

// Runs writes ascending numbers as runs: 0-2, 5.
func Runs(list []int) (runs []string) {
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j] == list[j-1]+1 {
			j++
		}
		runs = append(runs, Run(list[i], list[j-1]))
		i = j
	}
	return runs
}

// Run writes a run of numbers, both ends included: 0-2, or 5 for one alone.
func Run(first, last int) string {
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}
