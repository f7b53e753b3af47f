package link

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// victim is a link with an actor that counts what reaches it.
func victim(t *testing.T, c Config) (l *Link, delivered *atomic.Int64) {
	t.Helper()
	l, system := started(t, c)
	delivered = new(atomic.Int64)
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); !ok {
			delivered.Add(1) // a stop as well
		}
	}), "part-victim"); err != nil {
		t.Fatal(err)
	}
	return l, delivered
}

// raw sends bytes as they are.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (raw) Unmarshal(b mem.BufferSlice, v any) error { *v.(*[]byte) = b.Materialize(); return nil }
func dialer(t *testing.T, l *Link, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+l.Address(), grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// speaks opens a stream and sends frames on it.
func speaks(t *testing.T, cc *grpc.ClientConn, frames ...[]byte) (grpc.ClientStream, error) {
	t.Helper()
	stream, err := cc.NewStream(patient(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, receiveMethod, grpc.ForceCodecV2(raw{}))
	if err != nil {
		return nil, err
	}
	for _, f := range frames {
		if err := stream.SendMsg(f); err != nil {
			break // the reason is to be read
		}
	}
	return stream, nil
}

// says sends frames on a stream of their own and returns how it ended.
func says(t *testing.T, cc *grpc.ClientConn, frames ...[]byte) error {
	t.Helper()
	stream, err := speaks(t, cc, frames...)
	for err == nil {
		var answer []byte
		err = stream.RecvMsg(&answer)
	}
	return err
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func connectFrame(t *testing.T, address string) []byte {
	return encoded(t, &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "x", Address: address}}}}})
}

func batchFrame(t *testing.T, m *remote.MessageBatch) []byte {
	return encoded(t, &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: m}})
}

// A peer that is let in and then breaks the rules is cut off, gets an error, and reaches nothing.
func TestHostilePeer(t *testing.T) {
	l, delivered := victim(t, plain("127.0.0.1:0"))
	cc := dialer(t, l, insecure.NewCredentials())
	connect := connectFrame(t, peerAddress)
	good := func() *remote.MessageBatch {
		m := goodBatch()
		m.Targets[0] = &actor.PID{Address: l.Address(), Id: "part-victim"}
		return m
	}
	frames := map[string][][]byte{
		"garbage":          {bytes.Repeat([]byte{0xee}, 100)},
		"garbage later":    {connect, bytes.Repeat([]byte{0xee}, 100)},
		"no connect":       {batchFrame(t, good())},
		"connect twice":    {connect, connect},
		"nothing":          {connect, {}},
		"address":          {connectFrame(t, "0.0.0.0:1")},
		"disconnect":       {connect, encoded(t, &remote.RemoteMessage{MessageType: &remote.RemoteMessage_DisconnectRequest{DisconnectRequest: &remote.DisconnectRequest{}}})},
		"connect response": {connect, encoded(t, &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{}}})},
		"huge":             {connect, make([]byte, batchBytes(defaultMaxMessage)+1)},
		"many small":       {connect, append([]byte{0x0a, 0x80, 0x80, 0x80, 0x01}, bytes.Repeat([]byte{0x1a, 0}, 1<<20)...)},
	}
	for name, spoil := range badBatches {
		m := good()
		spoil(m)
		if name == "a message too large" {
			m.Envelopes[1].MessageData = make([]byte, defaultMaxMessage+1)
		}
		for i, e := range m.Envelopes { // nothing is sent for nil
			if e == nil && name == "no envelope" {
				m.Envelopes[i] = &remote.MessageEnvelope{TypeId: 5}
			}
		}
		frames["batch: "+name] = [][]byte{connect, batchFrame(t, m)}
	}
	bad := good()
	bad.Envelopes = bad.Envelopes[:1]
	bad.Envelopes[0].MessageData = []byte{0xff, 0xff}
	frames["a message that does not decode"] = [][]byte{connect, batchFrame(t, bad)}
	for name, f := range frames {
		switch err := says(t, cc, f...); status.Code(err) {
		case codes.InvalidArgument, codes.Internal, codes.ResourceExhausted: // by the check, by the form, by the size
		default:
			t.Errorf("%s: %v, want that it is refused", name, err)
		}
	}
	for _, method := range []string{"/remote.Remoting/GetProcessDiagnostics", "/remote.Remoting/ListProcesses", "/other.Service/Do"} {
		b := []byte{0x0a, 1, 'x'}
		if err := cc.Invoke(patient(t), method, b, &b, grpc.ForceCodecV2(raw{})); status.Code(err) == codes.OK {
			t.Errorf("%s has answered", method)
		}
	}
	if n := delivered.Load(); n != 0 {
		t.Fatalf("%d messages have reached an actor", n)
	}
	// The one that keeps the rules is served still.
	if _, err := speaks(t, cc, connect, batchFrame(t, good())); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); delivered.Load() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages have come, want 2", delivered.Load())
		}
	}
}

// Who has no certificate of the authority gets not a byte, and other connections live on.
func TestStrangers(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	l, delivered := victim(t, a.secure(t, "127.0.0.1", soon()))
	frames := [][]byte{connectFrame(t, peerAddress), batchFrame(t, goodBatch())}
	strangers := map[string]credentials.TransportCredentials{
		"plain text":             insecure.NewCredentials(),
		"no certificate":         credentials.NewTLS(&tls.Config{RootCAs: a.pool}),
		"another authority":      credentials.NewTLS(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{other.node(t, "127.0.0.1", soon())}}),
		"expired":                credentials.NewTLS(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.node(t, "127.0.0.1", time.Now().Add(-time.Minute))}}),
		"TLS 1.2":                credentials.NewTLS(&tls.Config{RootCAs: a.pool, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.node(t, "127.0.0.1", soon())}}),
		"in another host's name": credentials.NewTLS(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.node(t, "192.0.2.7", soon())}}),
	}
	for name, c := range strangers {
		want := codes.Unavailable
		if name == "in another host's name" {
			want = codes.InvalidArgument
		}
		if err := says(t, dialer(t, l, c), frames...); status.Code(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if n := delivered.Load(); n != 0 {
		t.Errorf("%d messages have reached an actor", n)
	}
	here, system := started(t, a.secure(t, "127.0.0.1", soon()))
	if err := here.Probe(patient(t), l.Address()); err != nil {
		t.Error(err)
	}
	asks(t, system, l.Address(), []byte("x"))
}

// Connections that say nothing take no place for ever, and not the places of those that do.
func TestSilentConnections(t *testing.T) {
	a := newAuthority(t)
	l, _ := victim(t, a.secure(t, "127.0.0.1", soon()))
	here, system := started(t, a.secure(t, "127.0.0.1", soon()))
	if err := here.Probe(patient(t), l.Address()); err != nil {
		t.Fatal(err)
	}
	asks(t, system, l.Address(), []byte("x"))
	var all []net.Conn
	for range mostOfOne + 8 {
		c, err := net.Dial("tcp", l.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	asks(t, system, l.Address(), []byte("y")) // who is in, is in
	for _, c := range all {
		c.Close()
	}
	for {
		err := here.Probe(patient(t), l.Address())
		if err == nil {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A peer that stays does not keep a link from stopping.
func TestStopIsBounded(t *testing.T) {
	l, _ := victim(t, plain("127.0.0.1:0"))
	cc := dialer(t, l, insecure.NewCredentials())
	stream, err := speaks(t, cc, connectFrame(t, peerAddress))
	if err != nil {
		t.Fatal(err)
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	stopped(t, l)
	t.Logf("stopped after %v", time.Since(begun))
	for {
		if err := stream.RecvMsg(&answer); err != nil {
			break
		}
	}
}
