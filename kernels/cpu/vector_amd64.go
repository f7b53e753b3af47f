//go:build !purego

package cpu

// avx2Vectors need AVX2.
var avx2Vectors = vectorLoops{
	quantise: quantiseAVX2, widenBF16: widenBF16AVX2, toBF16: toBF16AVX2, roundBF16: roundBF16AVX2,
	sumSquares: sumSquaresAVX2, sumLanes: sumLanesAVX2,
	norm: normAVX2, rotate: rotateAVX2, weigh: weighAVX2, geluUp: geluUpAVX2, expMinus: expMinusAVX2,
	mul: mulAVX2, div: divAVX2, add: addAVX2, addTo: addToAVX2, mulAdd: mulAddAVX2, axpy1: axpy1AVX2, axpy4: axpy4AVX2,
}

// avx512Vectors need AVX2 and AVX-512 F, BW and VL.
var avx512Vectors = vectorLoops{
	quantise: quantiseAVX512, widenBF16: widenBF16AVX512, toBF16: toBF16AVX512, roundBF16: roundBF16AVX512,
	sumSquares: sumSquaresAVX512, sumLanes: sumLanesAVX512,
	norm: normAVX512, rotate: rotateAVX512, weigh: weighAVX512, geluUp: geluUpAVX512, expMinus: expMinusAVX512,
	mul: mulAVX512, div: divAVX512, add: addAVX512, addTo: addToAVX512, mulAdd: mulAddAVX512, axpy1: axpy1AVX512, axpy4: axpy4AVX512,
}
