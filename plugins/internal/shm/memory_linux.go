package shm

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const noReserve = unix.MAP_NORESERVE

func create(name string, size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("troupe-"+filepath.Base(name), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil { // kernels before 3.17, some sandboxes
		return createFile(name, size)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// seal keeps the size from being changed, and, once the memory has been mapped here, others from writing to it by
// whatever descriptor they can get, unless they are to.
func seal(f *os.File, writable bool) error {
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if !writable {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals|unix.F_SEAL_FUTURE_WRITE); err == nil {
			return nil
		} // kernels before 5.1
	}
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	if errors.Is(err, unix.EINVAL) { // a file, where there are no memfds
		return nil
	}
	return err
}
