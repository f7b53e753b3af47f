package stages

import "troupe/kernels"

// Tap is called after every op of a stage with the buffers it wrote; it is for tests and displays.
type Tap func(layer int, op kernels.Op, out []kernels.Slot, f *kernels.Frame)
