//go:build amd64 && !purego

package cpu

import (
	"golang.org/x/sys/cpu"

	"troupe/kernels"
)

const (
	avx512Name = "cpu/avx512"
	avx512Doc  = "AVX-512 in Go assembly, VNNI where there is"
)

var _ = kernels.Register(kernels.Variant{
	Name:   avx512Name,
	Doc:    avx512Doc,
	Needs:  "AVX-512 F, BW and VL",
	Panels: true,
	Score: func() int {
		x := &cpu.X86
		if !x.HasAVX2 || !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512VL {
			return 0
		}
		return 30
	},
	Open: func(t kernels.Threads) (kernels.Library, error) {
		return open(avx512Name, avx512Doc, &avx512Loops, t), nil
	},
})

var avx512Loops = loops{
	vectorLoops: avx512Vectors,
	panels: &panelLoops{
		int8Rows:  avx512Int8(),
		bias:      cpu.X86.HasAVX512VNNI,
		floatRows: []rowsLoop{{8, floatRows8AVX512}, {4, floatRows4AVX512}, {2, floatRows2AVX512}, {1, floatRows1AVX512}},
		halfRows:  []rowsLoop{{8, halfRows8AVX512}, {4, halfRows4AVX512}, {2, halfRows2AVX512}, {1, halfRows1AVX512}},
		exact:     exactQuadAVX512, exactPanels: 4,
		widen: widenPanelAVX512, transpose: transposeAVX2, dots: dots16AVX2, scaleRound: scaleRoundAVX2, pack: packLinesAVX2,
	},
}

// avx512Int8 is the loops with VNNI, or those of AVX2 where the machine lacks it. One row or two wait for memory, and on
// Sapphire Rapids the loops of 256 bits keep more of it coming: a token of bench-memory took a fifth less time.
func avx512Int8() []rowsLoop {
	if !cpu.X86.HasAVX512VNNI {
		return avx2Loops.panels.int8Rows
	}
	return []rowsLoop{{12, int8Rows12VNNI}, {8, int8Rows8VNNI}, {4, int8Rows4VNNI}, {2, int8Rows2AVX2}, {1, int8Rows1AVX2}}
}
