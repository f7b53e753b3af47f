//go:build unix

package ckpt

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"troupe/tensor"
)

// mapFile maps a whole file read-only. Its pages are shared with every process that maps the file and
// can be dropped by the system at any time. A file that is cut short while mapped faults on access;
// checks and prefaulting turn that into an error, later readers cannot.
func mapFile(f *os.File, size int) (region, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return region{}, fmt.Errorf("map %d bytes: %w: raise the limits on address space (ulimit -v) and mappings (vm.max_map_count)", size, err)
	}
	return region{data: data, mapped: true, shared: tensor.ShareFile(f.Name(), data, f)}, nil
}

func unmap(data []byte) error { return unix.Munmap(data) }
