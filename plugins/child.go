package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// child is the process, as go-plugin runs it: unlike its own way, this one does not wait for ever for the end of
// output that a grandchild still holds, and leaves the terminal's input alone.
type child struct {
	cmd            *exec.Cmd
	socketDir      string // go-plugin's, where the plugin makes its socket
	stdout, stderr *output
	exited         chan struct{} // closed when it has ended and been waited for; nil: it was not started
	err            error         // of its end
	closed         chan struct{} // closed when its output has been, too

	mu      sync.Mutex
	process *os.Process // nil until it runs
	doomed  bool        // Kill has been called
}

var _ runner.Runner = (*child)(nil)

// output is a pipe's reading end.
type output struct {
	*os.File
	end  chan struct{} // closed when nothing more comes
	once sync.Once
}

// Read is io.Reader's.
func (o *output) Read(b []byte) (int, error) {
	n, err := o.File.Read(b)
	if err != nil {
		o.once.Do(func() { close(o.end) })
		if errors.Is(err, os.ErrClosed) {
			err = io.EOF
		}
	}
	return n, err
}

// outputGrace is how long output may be read that others hold open when the process has ended.
const outputGrace = 100 * time.Millisecond

// Start starts the process, and closes what it inherits here.
func (c *child) Start(context.Context) error {
	defer func() {
		for _, f := range c.cmd.ExtraFiles {
			f.Close()
		}
	}()
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer outW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		return err
	}
	defer errW.Close()
	c.stdout, c.stderr = &output{File: outR, end: make(chan struct{})}, &output{File: errR, end: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = nil, outW, errW
	if err := c.cmd.Start(); err != nil {
		outR.Close()
		errR.Close()
		return err
	}
	c.exited, c.closed = make(chan struct{}), make(chan struct{})
	go c.wait()
	c.mu.Lock()
	c.process = c.cmd.Process
	doomed := c.doomed
	c.mu.Unlock()
	if doomed { // while it was started
		return c.Kill(context.Background())
	}
	return nil
}

func (c *child) wait() {
	c.err = c.cmd.Wait()
	close(c.exited)
	late := make(chan struct{}) // closed, since both outputs may be held
	time.AfterFunc(outputGrace, func() { close(late) })
	for _, o := range []*output{c.stdout, c.stderr} {
		select {
		case <-o.end:
		case <-late:
		}
		o.Close()
	}
	close(c.closed)
}

// Wait waits for the process's end.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return c.err
}

// Kill ends the process whatever state it is in.
func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	c.doomed = true
	process := c.process
	c.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// ended says how the process ended.
func (c *child) ended() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

// Stdout is what the handshake is read from.
func (c *child) Stdout() io.ReadCloser { return c.stdout }

// Stderr is what the process writes.
func (c *child) Stderr() io.ReadCloser { return c.stderr }

// Name is the program's.
func (c *child) Name() string { return c.cmd.Path }

// ID is the process's number.
func (c *child) ID() string {
	if pid := c.pid(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// pid is the process's number, 0 before it runs.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.Pid
}

// Diagnose has nothing to add.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost allows no other address than a socket where the plugin was told to make it.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(address) != filepath.Clean(c.socketDir) {
		return "", "", fmt.Errorf("address %s %s: want a unix socket in %s", network, address, c.socketDir)
	}
	return network, address, nil
}

// HostToPlugin changes nothing.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
