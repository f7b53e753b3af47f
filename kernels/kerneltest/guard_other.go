//go:build !linux

package kerneltest

// mapBody has no guard pages to offer here: marks around the operand show what is written beside it.
func mapBody(size int) (body []byte, free func(), err error) {
	const margin = 256
	return make([]byte, size+margin), func() {}, nil
}
