//go:build !purego

package cpu

import "golang.org/x/sys/cpu"

// probeTiers are the units that cpu/neon uses.
var probeTiers = []probeTier{{
	"neon",
	neonUnit(cpu.ARM64.HasASIMDDP),
	Unit{"FMUL and FADD of 128 bits", 16 * 4, probeFloatNEON},
}}

func neonUnit(dot bool) Unit {
	if dot {
		return Unit{"SDOT of 128 bits", 20 * 16, probeInt8Dot}
	}
	return Unit{"SMULL, ADDP and SADALP of 128 bits", 16 * 16, probeInt8NEON}
}

func readProbe(b []byte) { probeReadNEON(&b[0], len(b)) }

// Features names what the processor has of what kernels can make use of.
func Features() (list []string) {
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"asimddp", cpu.ARM64.HasASIMDDP}, {"i8mm", cpu.ARM64.HasI8MM}, {"sve", cpu.ARM64.HasSVE}, {"sve2", cpu.ARM64.HasSVE2},
	} {
		if f.has {
			list = append(list, f.name)
		}
	}
	return list
}
