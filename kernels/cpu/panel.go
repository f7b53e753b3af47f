package cpu

import "troupe/kernels"

// int8Args are the operands of an int8 kernel: some rows times one scale group of one panel,
// y[r] += t[r] * scale with t the sum over blocks of float32(block sum) * xScales[block][r].
type int8Args struct {
	w       *int8    // the group's lines (kernels/panel.go)
	x       *int8    // activations [lines][rows][4]
	xScales *float32 // [blocks][rows]
	bias    *int32   // [blocks][rows] -128 times the activations' sum, for weights taken as unsigned (AVX-512)
	lines   int
	scale   *float32 // of the weights, [16]
	y       [maxRows]*float32
	t       [maxRows][kernels.PanelOutputs]float32 // memory of the kernel
}

// maxRows is the largest number of rows that a kernel takes.
const maxRows = 12
