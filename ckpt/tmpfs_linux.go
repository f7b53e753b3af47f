package ckpt

import (
	"errors"

	"golang.org/x/sys/unix"
)

// TmpfsRoom is the number of bytes that a tmpfs has left, and that the system can give it: a tmpfs may be larger
// than memory. A directory on another file system is an error.
func TmpfsRoom(dir string) (room, memory int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	room, _ = freeBytes(dir)
	if st.Type != unix.TMPFS_MAGIC {
		return 0, 0, errors.New("not a tmpfs: a copy there is no faster: choose one, such as /dev/shm")
	}
	memory, err = MemoryAvailable()
	return room, memory, err
}
