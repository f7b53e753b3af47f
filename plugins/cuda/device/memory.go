//go:build cuda && cgo && linux && (amd64 || arm64)

package device

import (
	"fmt"

	"gorgonia.org/cu"

	"troupe/plugins/cuda/cuext"
)

// Ptr is an address in a GPU's memory; 0 is none.
type Ptr = cu.DevicePtr

// FullError says that something does not fit in a GPU's memory.
type FullError struct {
	Device            string
	What              string
	Need, Free, Total int64 // bytes; Free is what may be taken
}

func (e *FullError) Error() string {
	return fmt.Sprintf("cuda: %s: %s needs %s and %s of %s are free: bind fewer layers to this GPU, or some to another one, as @0-31=plugin:cuda/0,@32-63=plugin:cuda/1",
		e.Device, e.What, size(e.Need), size(e.Free), size(e.Total))
}

func size(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if one := int64(1) << (30 - 10*i); n >= one {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(one), unit)
		}
	}
	return fmt.Sprintf("%d B", max(n, 0))
}

// Fits reports, before anything is taken, whether n more bytes are there and leave the margin that activations, the
// KV cache and the driver need.
func (d *Device) Fits(what string, n int64) error {
	free, total, err := d.Room()
	if err != nil {
		return err
	}
	if n > free-d.margin {
		return &FullError{d.String(), what, n, free - d.margin, total}
	}
	return nil
}

// Alloc takes n bytes. What they hold is anything.
func (d *Device) Alloc(what string, n int64) (Ptr, error) {
	p, err := cu.MemAlloc(max(n, 1))
	if cuext.Code(err) == outOfMemory {
		if free, total, e := cu.MemInfo(); e == nil {
			return 0, &FullError{d.String(), what, n, free, total}
		}
	}
	return p, d.Failed("take memory for "+what, err)
}

const outOfMemory = 2 // CUDA_ERROR_OUT_OF_MEMORY

// Free gives memory back once the GPU is done with it; 0 is none.
func (d *Device) Free(p Ptr) error {
	if p == 0 {
		return nil
	}
	return d.Failed("give memory back", cu.MemFree(p))
}

// Room is the memory that is free, and all that there is.
func (d *Device) Room() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, d.Failed("ask for free memory", err)
}
