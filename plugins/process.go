package plugins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"troupe/plugins/internal/doorbell"
	"troupe/plugins/internal/lend"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/shm"
	"troupe/plugins/internal/wire"
)

// process is a plugin that runs.
type process struct {
	config  Config
	journal *journal
	child   *child
	client  *plugin.Client
	control pb.KernelsClient

	page   *shm.Memory
	words  *wire.Control
	bell   doorbell.Bell
	socket *doorbell.Socket // nil where there are futexes
	conn   *net.UnixConn    // descriptors go over it
	alive  *os.File         // the process ends with this

	gone     atomic.Bool // the process has ended, or is about to
	watchers sync.WaitGroup
	ended    sync.Once

	mu     sync.Mutex
	closed bool // the page is no more
}

// numberGone in the place of an answer's number wakes who waits for it: the process is no more.
const numberGone = math.MaxUint32

const (
	startGrace = 500 * time.Millisecond // in which go-plugin's own error of a late start comes
	exitGrace  = 50 * time.Millisecond  // between the end of a connection and that of the process
)

// maxAnswer bounds what a control call may return.
const maxAnswer = 1 << 20

// start runs a plugin and waits for its handshake.
func start(ctx context.Context, c Config) (*process, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &process{config: c, journal: &journal{log: c.Log.With("plugin", c.Path)}}
	inherited, err := p.prepare()
	if err == nil {
		err = p.connect(ctx, inherited)
	}
	if err != nil {
		p.end()
		return nil, fmt.Errorf("plugins: %s: %w", c.Path, err)
	}
	return p, nil
}

// prepare makes what both processes share; the files are for the other one, in the order of wire.ControlFD on.
func (p *process) prepare() (inherited []*os.File, err error) {
	steps := []func() (*os.File, error){p.makePage, p.makeSocket, p.makeAlive}
	if !p.futex() {
		steps = append(steps, p.makeBell)
	}
	for _, step := range steps {
		f, err := step()
		if err != nil {
			for _, f := range inherited {
				f.Close()
			}
			return nil, err
		}
		inherited = append(inherited, f)
	}
	return inherited, nil
}

func (p *process) makePage() (*os.File, error) {
	var err error
	if p.page, err = shm.New("control", wire.ControlBytes, true); err != nil {
		return nil, err
	}
	p.words = wire.NewControl(p.page.Bytes)
	p.bell = doorbell.Bell{Out: &p.words.Request, In: &p.words.Response, Wake: doorbell.Futex{}}
	return p.page.File()
}

func (p *process) makeSocket() (far *os.File, err error) {
	p.conn, far, err = shm.Pair()
	return far, err
}

func (p *process) makeAlive() (far *os.File, err error) {
	far, p.alive, err = os.Pipe()
	return far, err
}

func (p *process) makeBell() (*os.File, error) {
	near, far, err := shm.Sockets("bell")
	if err != nil {
		return nil, err
	}
	if p.socket, err = doorbell.NewSocket(near); err != nil {
		near.Close()
		far.Close()
		return nil, err
	}
	p.bell.Wake = p.socket
	return far, nil
}

// futex tells which doorbell is used; the variable is for tests of the slower one.
func (p *process) futex() bool {
	return doorbell.HasFutex && os.Getenv(wire.BellKey) != wire.BellSocket
}

// connect starts the process and waits for what it says.
func (p *process) connect(ctx context.Context, inherited []*os.File) error {
	cmd := exec.Command(p.config.Path, p.config.Args...)
	cmd.ExtraFiles = inherited
	cmd.Env = append(p.config.environment(), wire.BellKey+"="+wire.BellSocket)
	if p.futex() {
		cmd.Env[len(cmd.Env)-1] = wire.BellKey + "=" + wire.BellFutex
	}
	p.child = &child{cmd: cmd}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: lend.Handshake(), Plugins: plugin.PluginSet{wire.Service: dialler{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, AutoMTLS: true, SkipHostEnv: true, StartTimeout: p.config.Start,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: temp()},
		Logger:           p.journal.hclog(), SyncStdout: p.journal.written(), SyncStderr: p.journal.written(), Stderr: &lines{say: p.journal.heard},
		RunnerFunc: func(_ hclog.Logger, command *exec.Cmd, dir string) (runner.Runner, error) {
			// go-plugin's variables are in another command; the rest is as it was made above.
			cmd.Env = append(cmd.Env, command.Env...)
			p.child.socketDir = dir
			return p.child, nil
		},
	})
	// go-plugin waits without limit for some of what follows; a process that is dead answers at once.
	kill := func() { _ = p.child.Kill(ctx) }
	timer := time.AfterFunc(p.config.Start+startGrace, kill)
	defer timer.Stop()
	defer context.AfterFunc(ctx, kill)()
	rpc, err := p.client.Client()
	if p.child.exited == nil { // it was not even started
		for _, f := range inherited {
			f.Close()
		}
	}
	if err == nil {
		var raw any
		if raw, err = rpc.Dispense(wire.Service); err == nil {
			p.control = raw.(pb.KernelsClient)
		}
	}
	if p.child.socketDir != "" { // the one connection that is needed is there
		_ = os.RemoveAll(p.child.socketDir)
	}
	if err != nil {
		return p.startError(ctx, err)
	}
	p.watchers.Add(2)
	go p.watchSocket()
	go p.watchExit()
	return nil
}

// dialler is what go-plugin asks for on the engine's side.
type dialler struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer is the plugin's matter.
func (dialler) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the engine serves no plugins")
}

// GRPCClient makes the client of the connection.
func (dialler) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return pb.NewKernelsClient(c), nil
}

// startError says why a plugin did not start, in one line.
func (p *process) startError(ctx context.Context, err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	heard := p.journal.reason()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(text, "incompatible API version"), strings.Contains(text, "Incompatible API version"):
		return fmt.Errorf("%s: build plugin and engine from the same release", text)
	case strings.Contains(text, "Unrecognized remote plugin message: "):
		_, said, _ := strings.Cut(text, "message: ")
		if said = clip(said); said == "" {
			said = heard
		}
		if said == "" {
			select {
			case <-p.child.exited:
				return fmt.Errorf("it is no plugin of troupe: it said nothing, and ended with %s", p.child.ended())
			case <-time.After(exitGrace):
			}
		}
		return fmt.Errorf("it is no plugin of troupe, or not of this protocol: it said %.200q", said)
	case strings.Contains(text, "timeout while waiting"):
		return fmt.Errorf("no handshake within %v: %.200q", p.config.Start, heard)
	case errors.Is(err, syscall.ENOEXEC) || strings.Contains(text, "exec format error"):
		return errors.New("this machine cannot run it (exec format error): build it for this system and processor")
	case heard != "":
		return fmt.Errorf("%s: it wrote %.200q", text, heard)
	}
	return errors.New(text)
}

func (p *process) watchSocket() {
	defer p.watchers.Done()
	var b [1]byte
	_, _ = p.conn.Read(b[:]) // a plugin sends nothing: whatever comes, or the end, is its end
	p.lose()
}

func (p *process) watchExit() {
	defer p.watchers.Done()
	<-p.child.exited
	p.lose()
}

// lose wakes who waits for an answer that will not come.
func (p *process) lose() {
	p.gone.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.words.Response.Number.Store(numberGone)
	p.bell.Wake.Wake(&p.words.Response)
}

// kill ends the process in whatever state it is.
func (p *process) kill() { _ = p.child.Kill(context.Background()) }

// end gives back all that start has taken. No call may be under way.
func (p *process) end() {
	p.ended.Do(func() {
		if p.child != nil && p.child.exited != nil {
			p.kill()
			<-p.child.exited // before go-plugin's own Kill, which waits for ever for a process that is stopped
			<-p.child.closed
		}
		if p.client != nil {
			p.client.Kill()
		}
		if p.conn != nil {
			p.conn.Close()
		}
		p.watchers.Wait()
		if p.child != nil && p.child.socketDir != "" {
			_ = os.RemoveAll(p.child.socketDir)
		}
		if p.alive != nil {
			p.alive.Close()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed = true
		if p.socket != nil {
			p.socket.Close()
		}
		_ = p.page.Close()
	})
}

// epitaph says how the process ended and what it said, as far as that is known soon.
func (p *process) epitaph() string {
	select {
	case <-p.child.exited:
	case <-time.After(exitGrace):
		return "the process has closed its end of the connection"
	}
	if line := p.journal.reason(); line != "" {
		return fmt.Sprintf("%s: %.300s", p.child.ended(), line)
	}
	return p.child.ended()
}

// controlError is an error of a control call without the words of its transport.
func controlError(err error) error {
	if s, ok := status.FromError(err); ok {
		return errors.New(text(s.Message()))
	}
	return err
}

// dies tells whether the process has ended, if need be a moment after the connection.
func (p *process) dies(err error) bool {
	if status.Code(err) == codes.Unavailable {
		select {
		case <-p.child.exited:
			p.lose()
		case <-time.After(exitGrace):
		}
	}
	return p.gone.Load()
}
