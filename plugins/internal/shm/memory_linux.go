package shm

import (
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
	if err = unix.Ftruncate(fd, int64(size)); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
