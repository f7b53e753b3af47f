package stream

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of Linux, in milliseconds, which syscall does not name.
const tcpUserTimeout = 0x12

// limitStall has the system end a connection whose peer acknowledges nothing for so long: left alone it tries for a
// quarter of an hour, while signs of life come over the link as ever.
func limitStall(c syscall.RawConn, most time.Duration) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(most.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
