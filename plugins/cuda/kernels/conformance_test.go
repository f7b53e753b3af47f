//go:build cudacpu && cgo

package kernels

import (
	"fmt"
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

// ways are launches that must all give the bits of kernels/ref.
var ways = []*library{
	{few: 1, block: Grid{128, 1, 1}, wide: Grid{64, 1, 1}, grid: 3, rowsOfAttend: 1 << 20},
	{few: 2, block: Grid{256, 1, 1}, wide: Grid{32, 1, 1}, grid: 1, reverse: true, rowsOfAttend: 1},
	{few: 4, block: Grid{160, 1, 1}, wide: Grid{96, 1, 1}, grid: 7, rowsOfAttend: 3},
	{few: 8, block: Grid{256, 1, 1}, wide: Grid{256, 1, 1}, grid: 2, reverse: true, rowsOfAttend: 1 << 20},
	{few: 0, block: Grid{192, 1, 1}, wide: Grid{1024, 1, 1}, grid: 1, reverse: true, rowsOfAttend: 7},
}

func (l *library) String() string {
	return fmt.Sprintf("few=%d block=%d wide=%d grid=%d reverse=%v", l.few, l.block.X, l.wide.X, l.grid, l.reverse)
}

// The first way runs the whole suite, the others, which are slower here, a part of it each; every way is met by
// TestProducts and TestAttention as well.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: the library on a driver without a GPU runs it, too")
	}
	for i, l := range ways {
		t.Run(l.String(), func(t *testing.T) {
			for j, c := range kerneltest.Cases() {
				if i > 0 && j%5 != i {
					continue
				}
				v := c.Judge(l)
				if v.Err != nil {
					t.Error(v.Err)
				}
				if (v.Ways == 0) != (c.Arith == kernels.Reference) {
					t.Errorf("%s: offered: %v", c.Name, v.Ways > 0)
				}
			}
		})
	}
}
