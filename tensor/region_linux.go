package tensor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// readOnly opens a descriptor anew without the right to write: what has mapped it cannot be made writable.
func readOnly(fd int) (int, error) {
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil { // no /proc, or a file that has been removed
		return duplicate(fd)
	}
	return again, nil
}
