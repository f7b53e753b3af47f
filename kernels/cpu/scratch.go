package cpu

import "unsafe"

// scratch is the memory of one worker: what it computes between an op's operands.
type scratch struct {
	lanes []lanes8  // int8, one row: running sums [columns/8]
	tile  []int8    // int8, three rows: weights of four inputs [4 columns]
	rows  []int8    // int8 weights of a block, unpacked [inputs columns]
	words []uint64  // int8, three rows: running sums [rows/3 columns]
	sums  []int32   // int8: block sums [rows columns]
	block []float32 // block sums [rows columns]
	group []float32 // group sums [rows columns]; sums of attention weights [heads]
	wide  []float32 // weights as float32 [4 columns], or keys or values of a block
	p     []float32 // attention weights [rows heads keys]
	half  []uint16  // keys or values as bfloat16
	runs  []rowRun  // of a tile's rows

	// With panelLoops:
	int8  int8Args // here, since what a loop is handed escapes
	float floatArgs
	exact exactArgs
	dots  dotArgs
	ends  [maxRows][panelCols]float32 // outputs of a panel that is cut off by the matrix's end
	scale [panelCols]float32          // scales of such a panel
}

// sizes are the lengths that a job needs of a worker's scratch memory.
type sizes struct{ lanes, tile, rows, words, sums, block, group, wide, half, p, runs int }

// reserve gives every worker at least that much. An op calls it before its job, so that it does not
// depend on who comes to help whether memory grows.
func (l *library) reserve(n sizes) {
	for i := range l.scratch {
		s := &l.scratch[i]
		s.rows, s.runs, s.half = atLeast(s.rows, n.rows), atLeast(s.runs, n.runs), atLeast(s.half, n.half)
		s.lanes, s.tile, s.words, s.sums = atLeast(s.lanes, n.lanes), atLeast(s.tile, n.tile), atLeast(s.words, n.words), atLeast(s.sums, n.sums)
		s.block, s.group, s.wide, s.p = atLeast(s.block, n.block), atLeast(s.group, n.group), atLeast(s.wide, n.wide), atLeast(s.p, n.p)
	}
}

// chunks looks at s as arrays of C, several elements each; those that do not fill one are left out.
func chunks[C, T any](s []T) []C {
	var c C
	var t T
	n := len(s) / int(unsafe.Sizeof(c)/unsafe.Sizeof(t))
	if n == 0 {
		return nil // there may be less memory than one array
	}
	return unsafe.Slice((*C)(unsafe.Pointer(unsafe.SliceData(s))), n)
}

// atLeast returns s, or a longer slice with some room to spare. What s held is lost then.
func atLeast[T any](s []T, n int) []T {
	if len(s) < n {
		return make([]T, n+n/4)
	}
	return s
}
