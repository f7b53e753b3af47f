//go:build !purego

package cpu

import "golang.org/x/sys/cpu"

func init() {
	if cpu.X86.HasAVX2 {
		vectorTables["avx2"] = &avx2Vectors
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL {
		vectorTables["avx512"] = &avx512Vectors
	}
}
