//go:build amd64 && !purego

package cpu

import "golang.org/x/sys/cpu"

// probeTiers are the units by the marks in variants' names, the first that fits counts.
var probeTiers = tiersHere()

func tiersHere() (tiers []probeTier) {
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512BW {
		t := probeTier{"avx512", Unit{"VPMADDUBSW of 512 bits", 20 * 64, probeInt8AVX512}, Unit{"VMULPS and VADDPS of 512 bits", 20 * 16, probeFloatAVX512}}
		if x.HasAVX512VNNI {
			t.whole = Unit{"VPDPBUSD of 512 bits", 20 * 64, probeInt8VNNI}
		}
		tiers = append(tiers, t)
	}
	if x.HasAVX2 {
		tiers = append(tiers, probeTier{"avx2", Unit{"VPMADDUBSW of 256 bits", 10 * 32, probeInt8AVX2}, Unit{"VMULPS and VADDPS of 256 bits", 10 * 8, probeFloatAVX2}})
	}
	return tiers
}

func readProbe(b []byte) {
	switch x := &cpu.X86; {
	case x.HasAVX512F:
		probeRead512(&b[0], len(b))
	case x.HasAVX2:
		probeRead256(&b[0], len(b))
	default:
		readWords(b)
	}
}

// Features names what the processor has of what kernels can make use of.
func Features() (list []string) {
	x := &cpu.X86
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"avx512f", x.HasAVX512F}, {"avx512bw", x.HasAVX512BW}, {"avx512vl", x.HasAVX512VL},
		{"avx512vbmi", x.HasAVX512VBMI}, {"avx512vnni", x.HasAVX512VNNI}, {"avx512bf16", x.HasAVX512BF16},
		{"avxvnni", x.HasAVXVNNI}, {"amx-int8", x.HasAMXInt8}, {"amx-bf16", x.HasAMXBF16},
	} {
		if f.has {
			list = append(list, f.name)
		}
	}
	return list
}
