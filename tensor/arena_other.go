//go:build !unix

package tensor

// mapRegion takes the region from the Go heap: no other process can map it.
func mapRegion(_ string, size int) ([]byte, int, error) { return heapRegion(size) }

func mapHuge(size int) (whole, mem []byte, err error) {
	mem, _, err = heapRegion(size)
	return mem, mem, err
}

func unmapRegion([]byte, int) error { return nil }
