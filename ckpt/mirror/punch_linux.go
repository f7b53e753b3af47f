package mirror

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch gives the disk of some bytes of a file back.
func punch(f *os.File, offset, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, n)
}
