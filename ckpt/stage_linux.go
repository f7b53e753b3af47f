package ckpt

import (
	"bufio"
	"errors"
	"fmt"
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
	if st.Type != unix.TMPFS_MAGIC {
		return 0, 0, errors.New("not a tmpfs: a copy there is no faster: choose one, such as /dev/shm")
	}
	memory, err = memoryAvailable()
	return int64(st.Bavail) * st.Bsize, memory, err
}

// memoryAvailable is MemAvailable of /proc/meminfo in bytes: free memory and cache that can be dropped.
func memoryAvailable() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo does not tell MemAvailable: run without the copy")
}

// claimStage makes a locked directory.
func claimStage(parent string) (*Staged, error) {
	for range 10 {
		dir, err := os.MkdirTemp(parent, stagePrefix)
		if err != nil {
			return nil, err
		}
		lock, err := lockStage(dir)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		// A sweep may have taken the directory for a left one before it was locked.
		if _, err := os.Lstat(dir); lock != nil && err == nil {
			return &Staged{FS: os.DirFS(dir), Dir: dir, lock: lock}, nil
		}
		if lock != nil {
			lock.Close()
		}
	}
	return nil, errors.New("another process removes each new directory: try again")
}

// lockStage locks a directory of this user; nil without an error means that another holds it.
func lockStage(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
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

// SweepStaged removes the copies in dir ("" means /dev/shm) whose processes have ended, as those cannot:
// each takes memory until then. It costs one look into the directory.
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
		if lock == nil {
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return stageError(path, err)
			}
			continue
		}
		err = errors.Join(os.RemoveAll(path), lock.Close())
		if err != nil {
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
