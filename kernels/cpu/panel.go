package cpu

import "troupe/kernels"

// panelLoops are the products of a variant that reads int8 matrices in panels (kernels/panel.go): the
// inner loops of product_panel.go and of attention. A variant without them reads rows.
type panelLoops struct {
	// int8Rows multiply so many rows with one scale group of a panel, widest first, down to one row.
	int8Rows []rowsLoop
	// bias tells that int8Rows take the weights as unsigned and want int8Args.bias.
	bias bool
	// floatRows multiply so many rows with float32 weights [inputs][16], widest first, down to one row.
	floatRows []rowsLoop
	// halfRows are floatRows with weights of bfloat16.
	halfRows []rowsLoop
	// exact multiplies one row with exactPanels panels. It takes an exactArgs.
	exact       func(*byte)
	exactPanels int

	// widen makes float32 [4*lines][16] of lines of a panel; lines is above 0, as in all that follow.
	widen func(dst *float32, w *int8, lines int)
	// transpose makes [n][16] of 16 rows of float32 that are stride bytes apart; n is a multiple of 8.
	transpose func(dst, src *float32, stride, n int)
	// dots multiplies one row with 16 outputs stored output by output. It takes a dotArgs.
	dots func(*byte)
	// scaleRound: w[k] = bfloat16(w[k] * scale) for n rows of 16.
	scaleRound func(w, scale *float32, n int)
	// pack makes lines of rows of 16 weights that are stride bytes apart.
	pack func(dst, src *int8, stride, lines int)
}

// The assembly counts on blocks of 32 lines.
var _ [kernels.BlockRows - 32*kernels.LineInputs]struct{} = [0]struct{}{}

// rowsLoop is a loop for a number of rows.
type rowsLoop struct {
	rows int
	run  func(args *byte) // of an int8Args or floatArgs
}

// maxRows is the largest number of rows that a loop takes.
const maxRows = 12

// int8Args are the operands of an int8 loop: some rows times one scale group of one panel,
// y[r] += t[r] * scale with t the sum over blocks of float32(block sum) * xScales[block][r].
type int8Args struct {
	w       *int8    // the group's lines
	x       *int8    // activations [lines][rows][4]
	xScales *float32 // [blocks][rows]
	bias    *int32   // [blocks][rows] -128 times the sum of the block's activations
	lines   int
	scale   *float32 // of the weights, [16]
	y       [maxRows]*float32
	t       [maxRows][kernels.PanelOutputs]float32 // memory of the loop
}

// floatArgs are the operands of a float32 loop: sums[r] += sum over k of x[r][k] * w[k], for tiles of 16
// columns. A block is summed from zero and then added; otherwise the sums go on where they were.
type floatArgs struct {
	sums    *float32
	sumStep int      // bytes from a row's sums to the next one's
	w       *float32 // of halfRows: *uint16
	wStep   int      // bytes from an input's weights to the next one's
	k       int      // inputs
	tiles   int
	block   int // 1: a block
	x       [maxRows]*float32
}

// dotArgs are the operands of panelLoops.dots: t[o] += block sum of x[k] * w[o][k], for every block.
type dotArgs struct {
	w      *float32
	stride int // bytes from an output's weights to the next one's
	x      *float32
	n      int // inputs, a multiple of 8
	t      [kernels.PanelOutputs]float32
}

// exactArgs are the operands of panelLoops.exact: t += block sum, for every block of one scale group.
type exactArgs struct {
	w     *int8 // the group's lines in the first panel
	pitch int   // bytes from there to the same lines of the next panel
	x     *float32
	n     int      // inputs of the group
	t     *float32 // [exactPanels][16]
}
