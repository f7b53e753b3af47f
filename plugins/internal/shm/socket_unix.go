//go:build unix

package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Parcel is a descriptor on its way to the other process, with what it is.
type Parcel struct {
	ID       uint64
	Size     int // bytes
	Writable bool
	Keep     bool     // the descriptor is needed after the memory has been mapped
	File     *os.File // the receiver closes it
}

const parcelBytes = 24

// Pair makes two ends of a socket: one for this process, one to be inherited by another.
func Pair() (*net.UnixConn, *os.File, error) {
	near, far, err := Sockets("socket")
	if err != nil {
		return nil, nil, err
	}
	conn, err := Conn(near)
	if err != nil {
		far.Close()
		return nil, nil, err
	}
	return conn, far, nil
}

// Sockets makes two ends of a socket as files.
func Sockets(name string) (near, far *os.File, err error) {
	syscall.ForkLock.RLock() // a process that is started meanwhile must not inherit them
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// Conn is the socket of an inherited descriptor, which is closed.
func Conn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("plugins: the descriptor is no socket")
	}
	return u, nil
}

// Send sends a descriptor; it stays open here.
func Send(c *net.UnixConn, p Parcel) error {
	var head [parcelBytes]byte
	binary.LittleEndian.PutUint64(head[0:], p.ID)
	binary.LittleEndian.PutUint64(head[8:], uint64(p.Size))
	head[16], head[17] = bit(p.Writable), bit(p.Keep)
	n, _, err := c.WriteMsgUnix(head[:], unix.UnixRights(int(p.File.Fd())), nil)
	if err == nil && n != len(head) {
		err = fmt.Errorf("plugins: %d bytes of a descriptor's message sent, want %d", n, len(head))
	}
	return err
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Receive waits for a descriptor. io.EOF: the other process has closed the socket, or is no more.
func Receive(c *net.UnixConn) (Parcel, error) {
	var head [parcelBytes]byte
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, m, _, _, err := c.ReadMsgUnix(head[:], oob)
	if err != nil {
		return Parcel{}, err
	}
	files, err := descriptors(oob[:m])
	if err == nil && (n != len(head) || len(files) != 1) {
		err = fmt.Errorf("plugins: a message of %d bytes with %d descriptors, want %d with one", n, len(files), len(head))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return Parcel{}, err
	}
	return Parcel{
		ID: binary.LittleEndian.Uint64(head[0:]), Size: int(binary.LittleEndian.Uint64(head[8:])),
		Writable: head[16] == 1, Keep: head[17] == 1, File: files[0],
	}, nil
}

func descriptors(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, e := unix.ParseUnixRights(&messages[i])
		if e != nil {
			err = e
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "memory"))
		}
	}
	return files, err
}
