//go:build cuda && cgo && linux && (amd64 || arm64)

package device

import (
	"errors"
	"fmt"

	"gorgonia.org/cu"

	"troupe/plugins/cuda/cuext"
	"troupe/plugins/cuda/driver"
)

// Oldest is the compute capability that the kernels need, ten times the major number and the minor one: 80 is
// Ampere (A100).
const Oldest = 80

// Info describes a GPU.
type Info struct {
	Ordinal    int
	Name       string
	Capability int   // 90 for 9.0
	Memory     int64 // bytes
	Bandwidth  int64 // bytes a second of its memory, from clock and width; 0 where the driver tells neither
	Unfit      error // why it cannot be used, or nil
}

// List looks for GPUs. The error says what is missing when there is no driver or no GPU.
func List() ([]Info, error) {
	if err := driver.Check(); err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("cuda: count the GPUs: %w", cuext.Explain(err))
	}
	if n == 0 {
		return nil, errors.New("the NVIDIA driver lists no GPU: see nvidia-smi and CUDA_VISIBLE_DEVICES")
	}
	var all []Info
	for i := range n {
		info, err := describe(i)
		if err != nil {
			return nil, fmt.Errorf("cuda: ask GPU %d what it is: %w", i, cuext.Explain(err))
		}
		all = append(all, info)
	}
	return all, nil
}

func describe(i int) (info Info, err error) {
	d, err := cu.GetDevice(i)
	if err != nil {
		return info, err
	}
	info.Ordinal = i
	if info.Name, err = d.Name(); err != nil {
		return info, err
	}
	if info.Memory, err = d.TotalMem(); err != nil {
		return info, err
	}
	var v [4]int
	for j, a := range []cu.DeviceAttribute{cu.ComputeCapabilityMajor, cu.ComputeCapabilityMinor, cu.MemoryClockRate, cu.GlobalMemoryBusWidth} {
		if v[j], err = d.Attribute(a); err != nil {
			return info, err
		}
	}
	info.Capability = 10*v[0] + v[1]
	info.Bandwidth = 2 * int64(v[2]) * 1000 * int64(v[3]) / 8 // kHz, two words a clock, bits
	if info.Capability < Oldest {
		info.Unfit = fmt.Errorf("%s has compute capability %d.%d, the kernels need %d.%d (A100) or later", info.Name, v[0], v[1], Oldest/10, Oldest%10)
	}
	return info, nil
}
