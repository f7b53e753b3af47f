package kernels

import "errors"

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
	// Compile prepares a segment, also while kernels of the library run. The error wraps ErrNoKernel when an
	// op is missing, or lacks the arithmetic or the shape.
	Compile(Segment) (Kernel, error)
	// Close ends the library's threads; none of its kernels may run afterwards.
	Close() error
}

// Several is a library that runs several kernels at about the price of one call, as one in another process does.
type Several interface {
	Library
	// RunSeveral runs up to MostSeveral different kernels of the library, each on its frame. None may read or write what
	// another one writes, nor the cache. After an error the outputs of all are as before.
	RunSeveral([]Kernel, []Frame) error
}

// MostSeveral bounds RunSeveral: the experts of a layer of Grok-1.
const MostSeveral = 8

// Kernel is a compiled segment. Run writes the calls' outputs in the frame; it reports only what makes
// the outputs unusable. It never keeps the frame.
type Kernel interface{ Run(*Frame) error }

// Variant is a library that can be opened, in this process or in one of its own.
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
