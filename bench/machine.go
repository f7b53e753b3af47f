package bench

import (
	"runtime"

	"troupe/kernels/cpu"
)

// Machine is what a report says of the computer.
type Machine struct {
	Processor string   `json:"processor,omitempty"`
	Platform  string   `json:"platform"`
	Cores     int      `json:"cores"`              // that this program may use
	Features  []string `json:"features,omitempty"` // of the processor, as far as kernels can make use of them
}

// ThisMachine looks at the computer.
func ThisMachine() Machine {
	return Machine{Processor: processorName(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Features: cpu.Features()}
}

// newProbe makes a probe that reads so many bytes, or several times what the caches hold.
func newProbe(size int) (*cpu.Probe, error) {
	const most = 2 << 30
	if size == 0 {
		size = min(max(cpu.ProbeBytes, 4*lastLevelCache()), most)
	}
	return cpu.NewProbe(size)
}

// NoisyShare is the part of the processors' time from which on others' use of it counts as a disturbance.
const NoisyShare = 0.05
