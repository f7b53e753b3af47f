package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// The methods of the library's service that are in use.
const (
	receiveMethod = "/remote.Remoting/Receive"
	whoMethod     = "/remote.Remoting/ListProcesses"
)

// inbound is a stream that a peer has opened, as the library sees it: what breaks a rule is an error of reading.
type inbound struct {
	grpc.ServerStream
	link *Link
	from string // the peer's own address; "" until it has said it
	err  error  // why the stream was refused
	last error  // of reading, where the connection or the peer has ended the stream
}

// receive goes around each stream. It keeps a panic of the library in the stream.
func (l *Link) receive(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	in := &inbound{ServerStream: stream, link: l}
	defer func() {
		if reason := recover(); reason != nil {
			l.config.Log.Error("link: BUG: panic in a peer's stream", slog.Any("panic", reason), slog.String("stack", string(debug.Stack())))
			err = status.Error(codes.Internal, "link: the stream has broken this side's reader")
		}
		if in.from != "" {
			l.peers.left(in.from)
		}
	}()
	if info.FullMethod != receiveMethod {
		return status.Errorf(codes.Unimplemented, "link: %s is not in use", info.FullMethod)
	}
	err = next(srv, in)
	switch {
	case in.err != nil:
	case in.last != nil || err == nil:
		return err // the connection has ended, or the stream as it should
	default:
		in.err = fmt.Errorf("link: a message that does not decode: %w", err) // what the library itself refuses
	}
	l.refused.note(stream.Context(), in.from, in.err)
	return status.Error(codes.InvalidArgument, in.err.Error())
}

// RecvMsg reads a message and checks it.
func (in *inbound) RecvMsg(m any) error {
	if in.err != nil {
		return in.err
	}
	err := in.ServerStream.RecvMsg(m)
	if err != nil {
		if s, ok := status.FromError(err); ok && (s.Code() == codes.Internal || s.Code() == codes.ResourceExhausted) {
			in.err = errors.New(s.Message()) // it came in, and has not the form or the size
		}
		in.last = err
		return err
	}
	in.err = in.check(m)
	return in.err
}

func (in *inbound) check(m any) error {
	message, ok := m.(*remote.RemoteMessage)
	if !ok {
		return fmt.Errorf("link: BUG: a message of type %T", m)
	}
	switch t := message.MessageType.(type) {
	case *remote.RemoteMessage_ConnectRequest:
		if in.from != "" {
			return fmt.Errorf("link: a stream that connects twice")
		}
		address, err := checkConnect(t.ConnectRequest)
		if err != nil {
			return err
		}
		if err := itsOwn(in.Context(), address); err != nil {
			return err
		}
		in.from = address
		in.link.peers.came(address)
		return nil
	case *remote.RemoteMessage_MessageBatch:
		if in.from == "" {
			return fmt.Errorf("link: messages from a peer that has not said its address")
		}
		return in.link.rules.check(t.MessageBatch, in.from)
	default:
		return fmt.Errorf("link: a message of a kind that peers do not send")
	}
}

// itsOwn wants the peer's certificate to be for the host that it says it is: otherwise it could speak for another.
func itsOwn(ctx context.Context, address string) error {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil // plain text: all of them are this machine's
	}
	host, _, _ := net.SplitHostPort(address)
	if err := info.State.PeerCertificates[0].VerifyHostname(host); err != nil {
		return fmt.Errorf("link: a peer at %s: its certificate is not for that host: make one with the host in it, or advertise another", address)
	}
	return nil
}

// who answers the one request without a stream: the address that this system has. The library's own panic.
func (l *Link) who(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	if info.FullMethod != whoMethod {
		return nil, status.Errorf(codes.Unimplemented, "link: %s is not in use", info.FullMethod)
	}
	return &remote.ListProcessesResponse{Pids: []*actor.PID{{Address: l.address}}}, nil
}

// refusals writes what was refused into the log, at most one line a second: a peer can make any number of them.
type refusals struct {
	log    *slog.Logger
	mu     sync.Mutex
	last   time.Time
	silent int
}

func (r *refusals) note(ctx context.Context, from string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.last) < time.Second {
		r.silent++
		return
	}
	remoteAddr := ""
	if p, ok := peer.FromContext(ctx); ok {
		remoteAddr = p.Addr.String()
	}
	r.log.Warn("link: a peer's stream was refused", slog.String("peer", from), slog.String("connection", remoteAddr),
		slog.Int("before_it_unsaid", r.silent), slog.Any("reason", err))
	r.last, r.silent = now, 0
}
