//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"fmt"

	"troupe/plugins/cuda/device"
)

// table has the functions of plugins/cuda/kernels, whose README lists their parameters.
type table struct {
	embed, rmsnorm, add, geluUp, combine, rope, softmax, quantise, attendSum device.Kernel
	store, attend                                                            [2]device.Kernel // of float32 and of bfloat16 caches
	int8, exact, natural, byOutput                                           matrix
}

// matrix has one product of a matrix for each number of rows that are computed together.
type matrix struct {
	few   [4]device.Kernel // 1, 2, 4, 8 rows
	tile  device.Kernel    // many
	cover int              // outputs that a block of few computes
}

// Blocks of threads, and what a tile covers.
const (
	threads    = 256
	attendWide = 128
	tileSide   = 64
	fewRows    = 8
)

func (t *table) load(d *device.Device) (err error) {
	get := func(name string) (k device.Kernel) {
		if err == nil {
			k, err = d.Kernel(name)
		}
		return k
	}
	product := func(name string, cover int) (m matrix) {
		for i := range m.few {
			m.few[i] = get(fmt.Sprintf("%s_%d", name, 1<<i))
		}
		m.tile, m.cover = get(name+"_tile"), cover
		return m
	}
	*t = table{
		embed: get("embed"), rmsnorm: get("rmsnorm"), add: get("add"), geluUp: get("gelu_up"), combine: get("combine"),
		rope: get("rope"), softmax: get("softmax"), quantise: get("quantise"), attendSum: get("attend_sum"),
		store:  [2]device.Kernel{get("store_f32"), get("store_bf16")},
		attend: [2]device.Kernel{get("attend_f32"), get("attend_bf16")},
		int8:   product("int8", 16), exact: product("exact", 16), natural: product("natural", 32), byOutput: product("byoutput", 8),
	}
	return err
}

// pick chooses the function and the grid for a number of rows and outputs: few read the matrix once for up to eight
// rows. All give the same bits.
func (m *matrix) pick(rows, out int) (device.Kernel, device.Grid) {
	if rows > fewRows {
		return m.tile, device.Grid{X: ceilDiv(out, tileSide), Y: ceilDiv(rows, tileSide), Z: 1, Block: threads}
	}
	i := 0
	for 1<<i < rows {
		i++
	}
	return m.few[i], device.Grid{X: ceilDiv(out, m.cover), Y: 1, Z: 1, Block: threads}
}

// strided is a grid for kernels that go over n items by themselves.
func strided(n int) device.Grid {
	return device.Grid{X: min(ceilDiv(n, threads), 1<<16), Y: 1, Z: 1, Block: threads}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
