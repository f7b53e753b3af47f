//go:build linux || darwin

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// listen makes the socket of a path, and what removes its file.
func listen(path string) (*net.UnixListener, func() error, error) {
	address := &net.UnixAddr{Name: path, Net: "unix"}
	if path[0] == '@' {
		l, err := net.ListenUnix("unix", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = errInUse
		}
		return l, func() error { return nil }, err
	}
	leave, err := makeRoom(path)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	l, err := net.ListenUnix("unix", address)
	if err != nil {
		return nil, nil, reasonOf(err)
	}
	l.SetUnlinkOnClose(false) // the file may be another's by then
	own, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, 0o600) // until here sameUser alone keeps others out
	}
	remove := func() error {
		now, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, now) {
			return nil
		}
		if err == nil {
			err = os.Remove(path)
		}
		return err
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), remove())
	}
	return l, remove, nil
}

// makeRoom looks at the place of a socket, and removes one that an engine has left behind. Until leave is called no other
// engine does so.
func makeRoom(path string) (leave func() error, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	// Of two engines that find the same old socket, one must not remove what the other has just made. Where a
	// directory cannot be locked that stays possible.
	_ = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
	if err := removeStale(path); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir.Close, nil
}

// check tells whether there is room for a socket.
func check(path string) error {
	if path[0] == '@' {
		return nil
	}
	leave, err := makeRoom(path)
	if err != nil {
		return err
	}
	return leave()
}

var errInUse = errors.New("an engine is listening there: choose another path, or end that engine")

// removeStale makes room for a socket.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("a file that is no socket: it stays, choose another path")
	case !ownedBy(info, os.Geteuid()):
		return errors.New("a socket of another user: choose another path")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("is anything listening there? %w", reasonOf(err))
	}
	return os.Remove(path)
}

// checkDir wants a directory in which others cannot put a socket of theirs in this one's place.
func checkDir(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	switch others := info.Mode().Perm()&0o022 != 0; {
	case !info.IsDir():
		return errors.New("its directory is none")
	case !ownedBy(info, os.Geteuid()) && !ownedBy(info, 0):
		return errors.New("its directory belongs to another user: choose one of your own")
	case others && info.Mode()&fs.ModeSticky == 0:
		return errors.New("others may write in its directory: choose one of your own, or take their right (chmod go-w)")
	}
	return nil
}

func ownedBy(info fs.FileInfo, uid int) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid
}

// sameUser refuses the other end of a connection if it is not of this user.
func sameUser(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var system error
	if err := raw.Control(func(fd uintptr) { uid, system = peerUser(int(fd)) }); err != nil {
		return err
	}
	switch {
	case system != nil:
		return fmt.Errorf("who is the peer? %w", system)
	case uid != os.Geteuid():
		return fmt.Errorf("the peer is user %d, want %d, the engine's own", uid, os.Geteuid())
	}
	return nil
}
