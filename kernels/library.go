package kernels

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrNoKernel says that a library lacks an op (or has it only for other shapes): choose another one.
var ErrNoKernel = errors.New("no kernel")

// Promise is what a library says of its numerics.
type Promise uint8

const (
	Identical Promise = iota // the bits of kernels/ref
	Close                    // within the bounds that kerneltest states
)

// Info describes a library.
type Info struct {
	Name    string // "ref", "cpu/generic"
	Doc     string // one line
	Version string
	Ops     []Op
	Promise Promise
}

// Library compiles segments for one device. Its kernels run one at a time, on that device's lane.
type Library interface {
	Info() Info
	// Compile prepares a segment. The error wraps ErrNoKernel when an op is missing.
	Compile(Segment) (Kernel, error)
	// Close ends the library's threads; none of its kernels may run afterwards.
	Close() error
}

// Kernel is a compiled segment. Run writes the calls' outputs in the frame; it reports only what makes
// the outputs unusable. It never keeps the frame.
type Kernel interface{ Run(*Frame) error }

// Variant is a library that can be opened in this process.
type Variant struct {
	Name  string
	Doc   string
	Score func() int // for this machine: 0 = cannot run here, else the highest wins
	Needs string     // what a machine must have for a score above 0, in words; "" = nothing
	Open  func(Threads) (Library, error)
	// Panels tells that the variant is fastest on int8 matrices in panels, so that a checkpoint in another
	// layout is better repacked when it is loaded.
	Panels bool
}

// Threads says how many threads a library may use. Reading weights for few rows is bound by the memory,
// which a few cores saturate; many rows are bound by arithmetic, which all cores share.
type Threads struct {
	Decode  int // for batches of up to DecodeRows rows
	Prefill int // for larger ones
}

// DecodeRows is the largest number of rows that counts as decode.
const DecodeRows = 4

// SameThreads uses as many for both.
func SameThreads(n int) Threads { return Threads{n, n} }

var registry = struct {
	sync.Mutex
	variants map[string]Variant
}{variants: map[string]Variant{}}

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
// The empty name means the best of all.
func Find(name string) (Variant, error) {
	for _, v := range Variants() {
		exact := v.Name == name
		if !exact && name != "" && !hasFamily(v.Name, name) {
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
