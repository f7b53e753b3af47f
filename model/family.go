package model

import (
	"troupe/kernels"
	"troupe/tensor"
)

// Tensors lists what a checkpoint of this configuration must hold, in the order of its files.
func Tensors(c Config) []Tensor { return grok1Tensors(c) }

// NewPlan lists the calls of a forward pass. It computes the table of rotary angles: make one and share it.
func NewPlan(c Config) Plan { return grok1Plan(c) }

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
