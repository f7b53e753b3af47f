package link

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A peer that is to be killed is this test binary again.
const peerKey = "TROUPE_LINK_PEER" // its address to listen on

func TestMain(m *testing.M) {
	if listen := os.Getenv(peerKey); listen != "" {
		if err := servePeer(listen); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// servePeer is a process with an actor that answers, until its standard input ends.
func servePeer(listen string) error {
	system := newSystem()
	l, err := Start(system, plain(listen))
	if err != nil {
		return err
	}
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(answer), "part-echo"); err != nil {
		return err
	}
	fmt.Println(l.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.Stop(ctx)
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// plain is a link without TLS.
func plain(listen string) Config {
	return Config{
		Listen: listen, Several: true, Allowed: []proto.Message{&wrapperspb.BytesValue{}, &wrapperspb.StringValue{}},
		Targets: func(name string) bool { return strings.HasPrefix(name, "part-") || strings.HasPrefix(name, "future") },
	}
}

// answer sends back what comes.
func answer(c actor.Context) {
	if m, ok := c.Message().(*wrapperspb.BytesValue); ok {
		c.Respond(m)
	}
}

// started is a link, stopped at the end of the test, with an actor "part-echo" that answers.
func started(t testing.TB, c Config) (*Link, *actor.ActorSystem) {
	t.Helper()
	if racing {
		t.Skip("the library has data races of its own")
	}
	system := newSystem()
	l, err := Start(system, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, l) })
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(answer), "part-echo"); err != nil {
		t.Fatal(err)
	}
	return l, system
}

func stopped(t testing.TB, l *Link) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// patient is a context for what should take milliseconds.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// asks has a system's actor answer and compares.
func asks(t *testing.T, from *actor.ActorSystem, address string, value []byte) {
	t.Helper()
	got, err := from.Root.RequestFuture(actor.NewPID(address, "part-echo"), wrapperspb.Bytes(value), 30*time.Second).Result()
	if err != nil {
		t.Fatalf("request of %d bytes: %v", len(value), err)
	}
	if m, ok := got.(*wrapperspb.BytesValue); !ok || string(m.Value) != string(value) {
		t.Fatalf("request of %d bytes: another answer: %T", len(value), got)
	}
}

// process is a peer in a process of its own.
type process struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

func newProcess(t *testing.T, listen string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), peerKey+"="+listen)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("peer: %v", err)
	}
	return &process{strings.TrimSpace(line), cmd, in}
}

// heard returns the address that Lost is called with.
func heard(t *testing.T, lost <-chan string) string {
	t.Helper()
	select {
	case a := <-lost:
		return a
	case <-patient(t).Done():
		t.Fatal("Lost was not called")
		return ""
	}
}
