//go:build unix

package doorbell

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Socket wakes by a byte over a socket of which each process has one end.
type Socket struct {
	fd   int
	file *os.File
}

// NewSocket takes one end, which is closed by Close.
func NewSocket(f *os.File) (*Socket, error) {
	fd := int(f.Fd())
	return &Socket{fd, f}, unix.SetNonblock(fd, true)
}

// Wait sleeps until a byte comes. Bytes of earlier calls wake it for nothing, which its caller allows.
func (s *Socket) Wait(_ *Words, _ uint32, limit time.Duration) {
	ms := max(int(limit/time.Millisecond), 1)
	p := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, ms); err != nil || n == 0 {
		return
	}
	var bytes [64]byte
	if n, err := unix.Read(s.fd, bytes[:]); err != nil || n == 0 {
		time.Sleep(time.Millisecond) // the other end is closed: who waits will be told
	}
}

// Wake sends a byte. When the socket is full there are bytes enough.
func (s *Socket) Wake(*Words) { _, _ = unix.Write(s.fd, []byte{1}) }

// Close closes this end.
func (s *Socket) Close() error { return s.file.Close() }
