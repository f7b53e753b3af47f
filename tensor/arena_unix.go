//go:build unix && !linux

package tensor

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapRegion takes memory from the Go heap, or where others are to map it, from a temporary file without a name.
func mapRegion(name string, size int) ([]byte, int, error) {
	if !shareAll.Load() {
		mem, _, err := heapRegion(size)
		return mem, -1, err
	}
	f, err := os.CreateTemp("", "troupe-"+name)
	if err != nil {
		return nil, -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, -1, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		return nil, -1, err
	}
	fd, err := duplicate(int(f.Fd()))
	if err != nil {
		return nil, -1, err
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, -1, joinClose(err, fd)
	}
	return mem, fd, nil
}

func joinClose(err error, fd int) error {
	unix.Close(fd)
	return err
}

func mapHuge(size int) (whole, mem []byte, err error) {
	mem, _, err = heapRegion(size)
	return mem, mem, err
}

func unmapRegion(mem []byte, fd int) error {
	if fd < 0 {
		return nil // of the heap
	}
	err := unix.Munmap(mem)
	if e := unix.Close(fd); err == nil {
		err = e
	}
	return err
}

func readOnly(fd int) (int, error) { return duplicate(fd) }
