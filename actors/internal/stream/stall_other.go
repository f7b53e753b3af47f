//go:build !linux

package stream

import (
	"syscall"
	"time"
)

// limitStall leaves the connection to the system's own patience.
func limitStall(syscall.RawConn, time.Duration) error { return nil }
