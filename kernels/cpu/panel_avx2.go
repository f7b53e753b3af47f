//go:build amd64 && !purego

package cpu

import (
	"golang.org/x/sys/cpu"

	"troupe/kernels"
)

const (
	avx2Name = "cpu/avx2"
	avx2Doc  = "AVX2 in Go assembly"
)

var _ = kernels.Register(kernels.Variant{
	Name:  avx2Name,
	Doc:   avx2Doc,
	Needs: "AVX2",
	Score: func() int {
		if !cpu.X86.HasAVX2 {
			return 0
		}
		return 20
	},
	Open:   func(t kernels.Threads) (kernels.Library, error) { return open(avx2Name, avx2Doc, &avx2Loops, t), nil },
	Panels: true,
})

var avx2Loops = loops{
	vectorLoops: avx2Vectors,
	panels: &panelLoops{
		int8Rows:  []rowsLoop{{8, int8Rows8AVX2}, {4, int8Rows4AVX2}, {2, int8Rows2AVX2}, {1, int8Rows1AVX2}},
		floatRows: []rowsLoop{{6, floatRows6AVX2}, {4, floatRows4AVX2}, {2, floatRows2AVX2}, {1, floatRows1AVX2}},
		halfRows:  []rowsLoop{{6, halfRows6AVX2}, {4, halfRows4AVX2}, {2, halfRows2AVX2}, {1, halfRows1AVX2}},
		exact:     exactPairAVX2, exactPanels: 2,
		widen: widenPanelAVX2, transpose: transposeAVX2, dots: dots16AVX2, scaleRound: scaleRoundAVX2, pack: packLinesAVX2,
	},
}
