package control

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestOtherUser: a peer of another user is refused, and refuses such an engine. A name without a file keeps nobody
// out by itself.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	path := "@" + socketPath(t)
	s, err := Serve(path, nil, echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const nobody = 65534
	answer := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
			answer <- e.Error()
			return
		}
		c, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Connect(c, &syscall.SockaddrUnix{Name: path})
		}
		if err != nil {
			answer <- err.Error()
			return
		}
		defer syscall.Close(c)
		line := make([]byte, 1<<10)
		n, err := syscall.Read(c, line)
		if err != nil {
			n = copy(line, err.Error())
		}
		answer <- string(line[:n])
	}()
	if got := <-answer; !strings.Contains(got, "the peer is user 65534, want 0") || !strings.Contains(got, `"done":true`) {
		t.Errorf("another user is told: %s", got)
	}
	if _, err := Call(t.Context(), path, Request{}, nil); err != nil {
		t.Error(err)
	}
}
