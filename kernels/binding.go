package kernels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Binding says which library computes which op at which layers: a list of entries
//
//	op[@layers]=library[/variant]     expert=cpu/generic, attend@0-3=ref
//	@layers=library[/variant]         every op of these layers
//	library[/variant]                 every op
//
// separated by commas; later entries win. The empty binding takes the best library for everything.
type Binding struct{ entries []bindingEntry }

// With is the binding with the entries of another one behind its own, which they win over. Entries that can no
// longer be reached are left out.
func (b Binding) With(more Binding) Binding {
	all := slices.Concat(b.entries, more.entries)
	var kept []bindingEntry
	for i, e := range all {
		if !slices.ContainsFunc(all[i+1:], e.within) {
			kept = append(kept, e)
		}
	}
	return Binding{kept}
}

// within tells whether an entry has nothing to say where another one holds.
func (e bindingEntry) within(other bindingEntry) bool {
	return (other.op == e.op || other.op == NumOps) && other.lo <= e.lo && e.hi <= other.hi
}

// String is the binding in the form that ParseBinding reads.
func (b Binding) String() string {
	var parts []string
	for _, e := range b.entries {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, ",")
}

func (e bindingEntry) String() string {
	var left string
	if e.op != NumOps {
		left = e.op.String()
	}
	switch {
	case e.hi == everyLayer:
	case e.lo == e.hi:
		left += fmt.Sprintf("@%d", e.lo)
	default:
		left += fmt.Sprintf("@%d-%d", e.lo, e.hi)
	}
	if left == "" {
		return e.library
	}
	return left + "=" + e.library
}

// CheckLayers wants the layers that the binding names to be those of a model with so many.
func (b Binding) CheckLayers(layers int) error {
	for _, e := range b.entries {
		if e.hi != everyLayer && e.hi >= layers {
			return fmt.Errorf("kernels: binding %q: layer %d, want 0 to %d, those of the model", e, e.hi, layers-1)
		}
	}
	return nil
}

// Libraries are the names in the binding, each once.
func (b Binding) Libraries() []string {
	var names []string
	for _, e := range b.entries {
		if !slices.Contains(names, e.library) {
			names = append(names, e.library)
		}
	}
	return names
}

type bindingEntry struct {
	op      Op // NumOps: every op
	lo, hi  int
	library string
}

const everyLayer = 1 << 30

// ParseBinding reads a binding and checks that its libraries exist and can run here.
func ParseBinding(s string) (Binding, error) {
	var b Binding
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		e := bindingEntry{op: NumOps, lo: -1, hi: everyLayer, library: part}
		if left, lib, ok := strings.Cut(part, "="); ok {
			e.library = lib
			name, layers, ranged := strings.Cut(left, "@")
			var err error
			if name != "" || !ranged {
				if e.op, err = parseOp(name); err != nil {
					return b, fmt.Errorf("kernels: binding %q: %w", part, err)
				}
			}
			if ranged {
				if e.lo, e.hi, err = parseRange(layers); err != nil {
					return b, fmt.Errorf("kernels: binding %q: layers: %w", part, err)
				}
			}
		}
		if e.library == "" {
			return b, fmt.Errorf("kernels: binding %q: no library: want op[@layers]=library, as expert=cpu/generic, attend@0-3=ref or @4-5=cpu", part)
		}
		if _, err := Find(e.library); err != nil {
			return b, err
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

// Library is the name bound to an op of a layer (-1 outside the layers); "" means the best one.
func (b Binding) Library(op Op, layer int) string {
	for i := len(b.entries) - 1; i >= 0; i-- {
		e := b.entries[i]
		if (e.op == op || e.op == NumOps) && e.lo <= layer && layer <= e.hi {
			return e.library
		}
	}
	return ""
}

func parseOp(s string) (Op, error) {
	var names []string
	for o := range NumOps {
		if Table[o].Name == s {
			return o, nil
		}
		names = append(names, Table[o].Name)
	}
	return 0, fmt.Errorf("op %q, want one of %s", s, strings.Join(names, ", "))
}

func parseRange(s string) (lo, hi int, err error) {
	a, b, ranged := strings.Cut(s, "-")
	if lo, err = strconv.Atoi(a); err == nil {
		hi = lo
		if ranged {
			hi, err = strconv.Atoi(b)
		}
	}
	if err != nil || lo < 0 || hi < lo {
		return 0, 0, fmt.Errorf("%q, want a layer or lo-hi", s)
	}
	return lo, hi, nil
}
