//go:build !purego

package cpu

import (
	"golang.org/x/sys/cpu"

	"troupe/kernels"
)

// The variant for arm64 gives the right bits under emulation; how fast it is on a processor has not been
// measured, nor whether small cores keep to 200 microseconds a call.
const (
	neonName = "cpu/neon"
	neonDoc  = "NEON in Go assembly, dot products where there are; speed not yet measured"
)

var _ = kernels.Register(kernels.Variant{
	Name:   neonName,
	Doc:    neonDoc,
	Needs:  "arm64",
	Score:  func() int { return 20 },
	Open:   func(t kernels.Threads) (kernels.Library, error) { return open(neonName, neonDoc, &neonLoops, t), nil },
	Panels: true,
})

var neonLoops = loops{
	vectorLoops: neonVectors,
	panels: &panelLoops{
		int8Rows:  neonInt8(cpu.ARM64.HasASIMDDP),
		floatRows: []rowsLoop{{4, floatRows4NEON}, {2, floatRows2NEON}, {1, floatRows1NEON}},
		halfRows:  []rowsLoop{{4, halfRows4NEON}, {2, halfRows2NEON}, {1, halfRows1NEON}},
		exact:     exactPairNEON, exactPanels: 2,
		widen: widenPanelNEON, transpose: transposeNEON, dots: dots16NEON, scaleRound: scaleRoundNEON, pack: packLinesNEON,
	},
}

// neonInt8 is the loops with the instruction SDOT, or those that do without.
func neonInt8(dot bool) []rowsLoop {
	if !dot {
		return []rowsLoop{{8, int8Rows8NEON}, {4, int8Rows4NEON}, {2, int8Rows2NEON}, {1, int8Rows1NEON}}
	}
	return []rowsLoop{{8, int8Rows8Dot}, {4, int8Rows4Dot}, {2, int8Rows2Dot}, {1, int8Rows1Dot}}
}

var neonVectors = vectorLoops{
	quantise: quantiseNEON, widenBF16: widenBF16NEON, toBF16: toBF16NEON, roundBF16: roundBF16NEON,
	sumSquares: sumSquaresNEON, sumLanes: sumLanesNEON,
	norm: normNEON, rotate: rotateNEON, weigh: weighNEON, geluUp: geluUpNEON, expMinus: expMinusNEON,
	mul: mulNEON, div: divNEON, add: addNEON, addTo: addToNEON, mulAdd: mulAddNEON, axpy1: axpy1NEON, axpy4: axpy4NEON,
}
