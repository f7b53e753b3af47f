package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// stagePrefix begins the names of staged copies. Whether one is in use tells the lock (flock) on its
// directory, which ends with the process that holds it, whatever ends that.
const stagePrefix = "troupe-ckpt-"

// tmpfsRoom is the number of bytes that a tmpfs has left, and that the system can give it: a tmpfs may be
// larger than memory.
func tmpfsRoom(dir string) (room, memory int64, err error) {
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

// claimStage makes a locked directory.
func claimStage(parent string) (*Staged, error) {
	for range 10 {
		dir, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", stagePrefix, os.Getpid()))
		if err != nil {
			return nil, err
		}
		lock, err := lockStage(dir)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		if lock == nil {
			continue // a sweep took it for a left one
		}
		if _, err := os.Lstat(dir); err != nil {
			lock.Close() // a sweep took and removed it before it was locked
			continue
		}
		return &Staged{FS: os.DirFS(dir), Dir: dir, lock: lock}, nil
	}
	return nil, errors.New("another process removes each new directory: try again")
}

// lockStage locks a directory; nil without an error means that another holds it, or removed it.
func lockStage(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}

// SweepStaged removes the copies in dir ("" means /dev/shm) whose processes have ended, which
// could not do it themselves: each takes memory until then. It costs one look into the directory.
func SweepStaged(dir string, opt Options) error {
	if dir == "" {
		dir = "/dev/shm"
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return stageError(dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), stagePrefix) || !ownDirectory(path) {
			continue
		}
		lock, err := lockStage(path)
		if err != nil {
			return stageError(path, err)
		}
		if lock == nil {
			continue
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return stageError(path, err)
		}
		opt.log().Warn("removed the staged checkpoint of a process that died", "dir", path)
	}
	return nil
}

// ownDirectory tells the directories of this user from what others put under the same names.
func ownDirectory(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == os.Geteuid()
}
