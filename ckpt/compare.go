package ckpt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Compare holds scanned headers against a list of tensors: names, shapes, dtypes, scale groups, as Open
// does. It looks at no values, so it serves sparse files and checkpoints too large to open.
func Compare(headers []Header, wants []Want) error {
	l := &listing{}
	for _, h := range headers {
		l.files = append(l.files, fileInfo{found: true, size: h.Bytes})
	}
	name := func(i int) string { return wants[i].Name }
	if err := firstOf(l.expect(len(wants), name)); err != nil {
		return err
	}
	bad := make([]error, len(wants))
	tensors := make([]Tensor, len(wants))
	for i, h := range headers {
		bad[i] = compare(h, wants[i])
		tensors[i] = Tensor{File: h.File, Groups: h.Groups}
	}
	if err := firstOf(collect(bad, name)); err != nil {
		return err
	}
	return compareClasses(tensors, wants)
}

const useItsConfig = "use the config that came with this checkpoint"

// compare holds a header against what the model wants.
func compare(h Header, want Want) error {
	got := kind(h.Groups)
	switch {
	case h.Quantised() && len(want.Groups) == 0, !h.Quantised() && !want.Plain:
		return fmt.Errorf("%v, %s, want %s of shape %v: another tensor's file, or %s", h.Weight, got, wanted(want), want.Shape, useItsConfig)
	case !h.Weight.Shape.Equal(want.Shape):
		return fmt.Errorf("shape %v, want %v: %s", h.Weight.Shape, want.Shape, useItsConfig)
	case h.Quantised() && !slices.Contains(want.Groups, h.Groups):
		return fmt.Errorf("%s, want %s: %s", got, wanted(want), useItsConfig)
	}
	return nil
}

// compareClasses finds the first tensor that is stored in another way than the first of its class.
func compareClasses(tensors []Tensor, wants []Want) error {
	first := map[string]int{}
	bad := make([]error, len(tensors))
	for i, want := range wants {
		if want.Class == "" || tensors[i].None() {
			continue
		}
		j, seen := first[want.Class]
		if !seen {
			first[want.Class] = i
			continue
		}
		if a, b := tensors[i].Groups, tensors[j].Groups; a != b {
			bad[i] = fmt.Errorf("%s, want %s as %s has, for all %s: files of two checkpoints are mixed, copy the right one", kind(a), kind(b), tensors[j].File, want.Class)
		}
	}
	return firstOf(collectIn(bad, func(i int) string { return tensors[i].File }, func(i int) string { return wants[i].Name }))
}

// kind says how a tensor is stored.
func kind(groups int) string {
	switch groups {
	case 0:
		return "plain float32"
	case 1:
		return "int8 with 1 scale group"
	}
	return fmt.Sprintf("int8 with %d scale groups", groups)
}

// wanted says how a tensor may be stored.
func wanted(want Want) string {
	var ways []string
	if want.Plain {
		ways = append(ways, kind(0))
	}
	var counts []string
	for _, g := range want.Groups {
		counts = append(counts, strconv.Itoa(g))
	}
	switch {
	case len(counts) == 1:
		ways = append(ways, kind(want.Groups[0]))
	case len(counts) > 1:
		ways = append(ways, "int8 with "+strings.Join(counts, " or ")+" scale groups")
	}
	return strings.Join(ways, " or ")
}
