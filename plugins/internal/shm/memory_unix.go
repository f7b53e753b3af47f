//go:build unix

package shm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memory is shared memory that this process has made and mapped.
type Memory struct {
	Bytes    []byte
	file     *os.File
	writable bool
}

// New makes size bytes, zeroed, in whole pages; writable is for those who get the descriptor. On Linux they cannot
// change the size, so that access to Bytes cannot fault.
func New(name string, size int, writable bool) (*Memory, error) {
	if size <= 0 || size > 1<<46 {
		return nil, fmt.Errorf("plugins: shared memory %s: %d bytes: want a size", name, size)
	}
	size = Pages(size)
	f, err := create(name, size)
	if err != nil {
		return nil, fmt.Errorf("plugins: shared memory %s: %d bytes: %w", name, size, err)
	}
	mem, err := Map(f, 0, size, true)
	if err == nil {
		if err = seal(f, writable); err != nil {
			_ = Unmap(mem)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("plugins: shared memory %s: %d bytes: %w", name, size, err)
	}
	return &Memory{mem, f, writable}, nil
}

// File is a new descriptor of the memory, to be given away.
func (m *Memory) File() (*os.File, error) {
	if m.file == nil {
		return nil, os.ErrClosed
	}
	fd := -1
	var err error
	if !m.writable {
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", m.file.Fd()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if m.writable || err != nil { // no /proc
		fd, err = unix.FcntlInt(m.file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), m.file.Name()), nil
}

// Close gives the memory back; those who have mapped it keep it until they let go. A nil one is none.
func (m *Memory) Close() error {
	if m == nil || m.file == nil {
		return nil
	}
	err := Unmap(m.Bytes)
	if e := m.file.Close(); err == nil {
		err = e
	}
	m.Bytes, m.file = nil, nil
	return err
}

// Pages rounds a number of bytes up to whole pages.
func Pages(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// Map maps size bytes of a file from a page's beginning on.
func Map(f *os.File, offset int64, size int, writable bool) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), offset, size, protection(writable), unix.MAP_SHARED|noReserve)
}

func protection(writable bool) int {
	if writable {
		return unix.PROT_READ | unix.PROT_WRITE
	}
	return unix.PROT_READ
}

// Unmap ends a mapping by Map or Reserve.
func Unmap(mem []byte) error { return unix.Munmap(mem) }

// Reserve takes addresses, in whole pages, that fault until Place puts memory there.
func Reserve(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, Pages(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|noReserve)
}
