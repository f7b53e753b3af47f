//go:build !purego

package cpu

import (
	"testing"
	"unsafe"
)

// The generator of the assembly (gen/args.go) counts on where the fields of the argument structs lie.
func TestArgumentOffsets(t *testing.T) {
	var i int8Args
	var f floatArgs
	var e exactArgs
	var d dotArgs
	for name, o := range map[string][2]uintptr{
		"int8Args.w":       {unsafe.Offsetof(i.w), 0},
		"int8Args.x":       {unsafe.Offsetof(i.x), 8},
		"int8Args.xScales": {unsafe.Offsetof(i.xScales), 16},
		"int8Args.bias":    {unsafe.Offsetof(i.bias), 24},
		"int8Args.lines":   {unsafe.Offsetof(i.lines), 32},
		"int8Args.scale":   {unsafe.Offsetof(i.scale), 40},
		"int8Args.y":       {unsafe.Offsetof(i.y), 48},
		"int8Args.t":       {unsafe.Offsetof(i.t), 144},
		"floatArgs.block":  {unsafe.Offsetof(f.block), 48},
		"floatArgs.x":      {unsafe.Offsetof(f.x), 56},
		"exactArgs.t":      {unsafe.Offsetof(e.t), 32},
		"dotArgs.t":        {unsafe.Offsetof(d.t), 32},
	} {
		if o[0] != o[1] {
			t.Errorf("%s lies at byte %d, the assembly reads it at %d", name, o[0], o[1])
		}
	}
}
