//go:build !unix

package shm

import (
	"errors"
	"net"
	"os"
)

var errNone = errors.New("plugins: no shared memory on this system: plugins need Linux or macOS")

// Memory is not for this system.
type Memory struct{ Bytes []byte }

// New fails.
func New(string, int, bool) (*Memory, error) { return nil, errNone }

// File fails.
func (*Memory) File() (*os.File, error) { return nil, errNone }

// Close has nothing to do.
func (*Memory) Close() error { return nil }

// Pages rounds a number of bytes up to whole pages.
func Pages(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// Parcel is a descriptor on its way to the other process.
type Parcel struct {
	ID       uint64
	Size     int // bytes
	Writable bool
	Keep     bool
	File     *os.File
}

// Pair fails.
func Pair() (*net.UnixConn, *os.File, error) { return nil, nil, errNone }

// Send fails.
func Send(*net.UnixConn, Parcel) error { return errNone }

// Sockets fails.
func Sockets(string) (near, far *os.File, err error) { return nil, nil, errNone }
