//go:build linux || darwin

package ckpt

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeBytes is the room that this user has left on a directory's file system.
func freeBytes(dir string) (free int64, known bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

// syncDir brings a directory's entries to disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
