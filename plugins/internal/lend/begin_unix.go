//go:build unix

package lend

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"troupe/plugins/internal/doorbell"
	"troupe/plugins/internal/shm"
	"troupe/plugins/internal/wire"
)

// begin takes over what the engine has left for this process and starts the lane.
func begin(s *server) error {
	for fd := wire.ControlFD; fd <= wire.BellFD; fd++ {
		unix.CloseOnExec(fd) // children of the plugin must not keep the engine's end of things open
	}
	// These go to all processes of a terminal or a service. What becomes of a plugin is the engine's matter, and with
	// the engine it ends.
	signal.Ignore(unix.SIGINT, unix.SIGHUP, unix.SIGTERM)
	control, err := openControl()
	if err != nil {
		return err
	}
	conn, err := shm.Conn(os.NewFile(wire.SocketFD, "socket"))
	if err != nil {
		return fmt.Errorf("plugins: the engine's socket: %w", err)
	}
	waker, err := openBell()
	if err != nil {
		return err
	}
	m := newMemory()
	s.store = m
	l := &lane{server: s, memory: m, control: control, bell: doorbell.Bell{Out: &control.Response, In: &control.Request, Wake: waker}}
	go func() {
		_ = m.receive(conn)
		leave()
	}()
	go watch()
	go beat(control)
	go l.run()
	return nil
}

func openControl() (*wire.Control, error) {
	f := os.NewFile(wire.ControlFD, "control")
	defer f.Close()
	page, err := shm.Map(f, 0, shm.Pages(wire.ControlBytes), true)
	if err != nil {
		return nil, fmt.Errorf("plugins: the engine's control page: %w", err)
	}
	return wire.OpenControl(page)
}

func openBell() (doorbell.Waker, error) {
	switch kind := os.Getenv(wire.BellKey); {
	case kind == wire.BellFutex && doorbell.HasFutex:
		return doorbell.Futex{}, nil
	case kind == wire.BellSocket:
		return doorbell.NewSocket(os.NewFile(wire.BellFD, "bell"))
	default:
		return nil, fmt.Errorf("plugins: doorbell %q is not for this system", kind)
	}
}

// watch ends the process with the engine: the pipe's other end is the engine's alone.
func watch() {
	var b [1]byte
	_, _ = os.NewFile(wire.AliveFD, "alive").Read(b[:])
	leave()
}

// leave ends the process; the engine is gone, so there is nobody to tell.
func leave() {
	if dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR"); dir != "" { // go-plugin's: the engine removes it when it lives
		files, _ := filepath.Glob(filepath.Join(dir, "plugin*"))
		for _, f := range files {
			_ = os.Remove(f)
		}
		_ = os.Remove(dir)
	}
	unix.Exit(0)
}

var settled sync.Once

// settle is called when the handshake is over and the engine has removed go-plugin's socket. Standard output goes to
// standard error from now on, which the engine reads for ever; and the system ends the process with the engine by
// signal where it can, so that a stopped process, or one that does not get to its goroutines, ends as well.
func settle() {
	settled.Do(func() {
		_ = dup2(2, 1)
		killOnHangup(wire.AliveFD)
	})
}
