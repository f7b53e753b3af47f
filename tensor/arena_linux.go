package tensor

import "golang.org/x/sys/unix"

func mapRegion(name string, size int) ([]byte, int, error) {
	fd, err := unix.MemfdCreate("troupe-"+name, unix.MFD_CLOEXEC)
	if err != nil { // kernels before 3.17, some sandboxes
		mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		return mem, -1, err
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	return mem, fd, nil
}

func unmapRegion(mem []byte, fd int) error {
	err := unix.Munmap(mem)
	if fd >= 0 {
		if e := unix.Close(fd); err == nil {
			err = e
		}
	}
	return err
}
