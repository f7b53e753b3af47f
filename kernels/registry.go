package kernels

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

var registry = struct {
	sync.Mutex
	variants map[string]Variant
	lent     map[string]bool // of these, the ones that Return may take away
}{variants: map[string]Variant{}, lent: map[string]bool{}}

// Register adds a variant. It is called from package initialisation, one file per variant, and panics
// on a second registration of a name. Its result is for var _ = Register(…).
func Register(v Variant) struct{} {
	registry.Lock()
	defer registry.Unlock()
	if _, twice := registry.variants[v.Name]; twice {
		panic("BUG: kernels: variant registered twice: " + v.Name)
	}
	registry.variants[v.Name] = v
	return struct{}{}
}

// Lend adds a variant while the program runs, or puts it in the place of a lent one of that name. It is never
// chosen unless it is named.
func Lend(v Variant) error {
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.variants[v.Name]; taken && !registry.lent[v.Name] {
		return fmt.Errorf("kernels: library %q is built in: lend yours under another name", v.Name)
	}
	if v.Name == "" || strings.ContainsAny(v.Name, " =,@") || v.Score == nil || v.Open == nil {
		return fmt.Errorf("kernels: library %q: want a name that a binding can hold, a score and a way to open it", v.Name)
	}
	registry.variants[v.Name], registry.lent[v.Name] = v, true
	return nil
}

// Return takes a lent variant off the list. Libraries of it that are open stay open.
func Return(name string) {
	registry.Lock()
	defer registry.Unlock()
	if registry.lent[name] {
		delete(registry.variants, name)
		delete(registry.lent, name)
	}
}

// Lent tells whether a variant was lent while the program ran.
func Lent(name string) bool {
	registry.Lock()
	defer registry.Unlock()
	return registry.lent[name]
}

// Variants lists what is registered, best score first, then by name.
func Variants() []Variant {
	registry.Lock()
	defer registry.Unlock()
	var all []Variant
	for _, v := range registry.variants {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Variant) int {
		if d := b.Score() - a.Score(); d != 0 {
			return d
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// Find returns the variant of that name, or the best one whose name starts with name + "/".
// The empty name means the best of those that are built in.
func Find(name string) (Variant, error) {
	for _, v := range Variants() {
		exact := v.Name == name
		if !exact && name != "" && !hasFamily(v.Name, name) || name == "" && Lent(v.Name) {
			continue
		}
		if v.Score() > 0 {
			return v, nil
		}
		if exact {
			return Variant{}, fmt.Errorf("kernels: %s cannot run on this machine: it needs %s", name, v.Needs)
		}
	}
	return Variant{}, fmt.Errorf("kernels: library %q unknown: `troupe kernels list` shows those there are", name)
}

func hasFamily(variant, family string) bool {
	return len(variant) > len(family) && variant[:len(family)] == family && variant[len(family)] == '/'
}
