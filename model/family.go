package model

import (
	"fmt"
	"strings"
	"sync"

	"troupe/kernels"
	"troupe/tensor"
)

// Family is a kind of model. Adding one is adding a file that registers it.
type Family struct {
	Name string
	// Tensors lists what a checkpoint must hold, in the checkpoint's own order of files.
	Tensors func(Config) []Tensor
	// Plan lists the calls of a forward pass.
	Plan func(Config) Plan
}

// Tensor is one array of a checkpoint.
type Tensor struct {
	Name  string
	Layer int // -1 outside the layers
	Shape tensor.Shape
	Plain bool  // may be stored as float32
	Int8  []int // scale-group counts it may have when stored as int8; nil: never int8
	// Class groups the tensors that must be stored alike: "moe/linear" of all layers.
	Class string
}

// Plan is a forward pass as lists of steps over numbered buffers. A layer is Before (up to the router's
// probabilities), Expert (once for every expert that has rows) and After.
type Plan struct {
	Slots         []SlotSpec
	Hidden        kernels.Slot // what one stage hands to the next
	Probs         kernels.Slot // router probabilities: where the experts' hand-over begins
	Parts, Logits kernels.Slot
	ExpertInput   kernels.Slot
	Embed, Head   []Step
	Before, After func(layer int) []Step
	Expert        func(layer int) Step
}

// Per says what a buffer has one row for.
type Per uint8

// A buffer has one row a batch row, a (row, rank) pair of the routing, or a draw.
const (
	PerRow Per = iota
	PerPair
	PerDraw
)

// SlotSpec is a buffer of the plan: float32 [rows Width].
type SlotSpec struct {
	Name  string
	Width int
	Per   Per
}

// Step is a call whose weights are still names.
type Step struct {
	Op      kernels.Op
	In, Out []kernels.Slot
	Weights []string
	kernels.Params
}

var families = struct {
	sync.Mutex
	byName map[string]Family
}{byName: map[string]Family{}}

// Register adds a family; it panics on a second one of the same name.
func Register(f Family) struct{} {
	families.Lock()
	defer families.Unlock()
	if _, twice := families.byName[f.Name]; twice {
		panic("BUG: model: family registered twice: " + f.Name)
	}
	families.byName[f.Name] = f
	return struct{}{}
}

// Find returns the family of that name.
func Find(name string) (Family, error) {
	families.Lock()
	defer families.Unlock()
	if f, ok := families.byName[name]; ok {
		return f, nil
	}
	var names []string
	for n := range families.byName {
		names = append(names, n)
	}
	return Family{}, fmt.Errorf("model: family %q unknown, have %s", name, strings.Join(names, ", "))
}
