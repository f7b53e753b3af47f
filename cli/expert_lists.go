package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"troupe/router"
	"troupe/surgery"
)

// byLayers reads "5; layers 0-2: 1; layer 4: 3": what stands for each layer. A layer that no entry names gets the
// entry without layers; sparse lets it do without.
func byLayers(text string, s router.Sizes, sparse bool) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("empty: want experts, as 5, or by layer, as 5; layers 0-2: 1")
	}
	lists := make([]string, s.Layers)
	rest := ""
	for entry := range strings.SplitSeq(text, ";") {
		entry = strings.TrimSpace(entry)
		layers, list, named := strings.Cut(entry, ":")
		switch {
		case entry == "":
			return nil, errors.New("an empty entry: want experts between semicolons")
		case !named && rest != "":
			return nil, fmt.Errorf("%q and %q are both for the other layers: name the layers of one, as layers 0-2: %s", rest, entry, entry)
		case !named:
			rest = entry
			continue
		}
		lo, hi, err := layerRange(layers, s.Layers)
		if err != nil {
			return nil, err
		}
		for l := lo; l <= hi; l++ {
			if lists[l] != "" {
				return nil, fmt.Errorf("layer %d is named twice", l)
			}
			if lists[l] = strings.TrimSpace(list); lists[l] == "" {
				return nil, fmt.Errorf("%q: no experts behind the colon", entry)
			}
		}
	}
	for l := range lists {
		if lists[l] == "" {
			lists[l] = rest
		}
		if lists[l] == "" && !sparse {
			return nil, fmt.Errorf("nothing for layer %d: add an entry without layers, or one for it", l)
		}
	}
	return lists, nil
}

// layerRange reads "layers 0-2", "layer 4", or the same without the word.
func layerRange(text string, layers int) (lo, hi int, err error) {
	fields := strings.Fields(text)
	if len(fields) == 2 && (fields[0] == "layers" || fields[0] == "layer") {
		fields = fields[1:]
	}
	if len(fields) == 1 {
		first, last, several := strings.Cut(fields[0], "-")
		if !several {
			last = first
		}
		var errLo, errHi error
		lo, errLo = strconv.Atoi(first)
		hi, errHi = strconv.Atoi(last)
		if errLo == nil && errHi == nil && 0 <= lo && lo <= hi && hi < layers {
			return lo, hi, nil
		}
	}
	return 0, 0, fmt.Errorf("layers %q, want some of 0 to %d, as layers 0-2", strings.TrimSpace(text), layers-1)
}

// expertLists reads a list of experts for each layer; see byLayers.
func expertLists(text string, s router.Sizes, sparse bool) ([][]int, error) {
	entries, err := byLayers(text, s, sparse)
	if err != nil {
		return nil, err
	}
	lists := make([][]int, s.Layers)
	for l, entry := range entries {
		if entry == "" {
			continue
		}
		if lists[l], err = parseInts(entry); err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(lists[l], func(e int) bool { return e < 0 || e >= s.Experts }); i >= 0 {
			return nil, fmt.Errorf("expert %d, want 0 to %d", lists[l][i], s.Experts-1)
		}
	}
	return lists, nil
}

// expertGroups reads groups of experts for each layer: 1+4,2+5, with shares 1*0.7+4*0.3.
func expertGroups(text string, s router.Sizes) ([][][]surgery.Term, error) {
	entries, err := byLayers(text, s, false)
	if err != nil {
		return nil, err
	}
	groups := make([][][]surgery.Term, s.Layers)
	for l, entry := range entries {
		for one := range strings.SplitSeq(entry, ",") {
			group, err := expertGroup(one)
			if err != nil {
				return nil, err
			}
			groups[l] = append(groups[l], group)
		}
	}
	return groups, nil
}

func expertGroup(text string) ([]surgery.Term, error) {
	members := strings.Split(text, "+")
	group, shares := make([]surgery.Term, len(members)), 0
	for i, member := range members {
		expert, share, has := strings.Cut(strings.TrimSpace(member), "*")
		e, err := strconv.Atoi(expert)
		group[i] = surgery.Term{Expert: e, Share: 1 / float64(len(members))}
		if has && err == nil {
			shares++
			group[i].Share, err = strconv.ParseFloat(share, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: want experts with a + between them, as 1+4 or 1*0.7+4*0.3", text)
		}
	}
	if shares > 0 && shares < len(members) {
		return nil, fmt.Errorf("%q: a share for some of the experts: want one for each, or none", text)
	}
	return group, nil
}
