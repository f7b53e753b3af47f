//go:build (!amd64 && !arm64) || purego

package cpu

// probeTiers is empty: Go alone multiplies here.
var probeTiers []probeTier

func readProbe(b []byte) { readWords(b) }

// Features names what the processor has of what kernels can make use of.
func Features() []string { return nil }
