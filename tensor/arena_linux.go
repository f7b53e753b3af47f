package tensor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapRegion(name string, size int) ([]byte, int, error) {
	fd, err := unix.MemfdCreate("troupe-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
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
	if err := seal(fd); err != nil {
		_ = unmapRegion(mem, fd)
		return nil, -1, err
	}
	if shareAll.Load() {
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // advice, for memory in files followed where the system is set so
	}
	return mem, fd, nil
}

// seal is for the sake of processes that the memory is lent to: one could else cut it short, and this process would
// fault on its own memory; or open it anew, and write to it.
func seal(fd int) error {
	const size = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, size|unix.F_SEAL_FUTURE_WRITE)
	if err != nil { // kernels before 5.1
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, size)
	}
	return err
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

// mapHuge maps private memory from the beginning of a huge page on and asks for such pages: a memfd has them only
// where the administrator allows it.
func mapHuge(size int) (whole, mem []byte, err error) {
	const huge = 2 << 20
	if size > 1<<62-huge {
		return nil, nil, unix.ENOMEM
	}
	whole, err = unix.Mmap(-1, 0, size+huge, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, nil, err
	}
	off := -int(uintptr(unsafe.Pointer(unsafe.SliceData(whole)))) & (huge - 1)
	mem = whole[off : off+size : off+size]
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // advice
	return whole, mem, nil
}
