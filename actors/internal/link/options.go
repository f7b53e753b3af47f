package link

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// batchSize is how many messages the library puts into one; the largest are to fit together. Larger batches of
	// large messages are slower: the peer begins only when all have come.
	batchSize = 16
	queueSize = 1024 // slots that a peer's queue begins with; it grows

	windowBytes  = 4 << 20         // that a peer may send ahead of its reader; with bufferBytes a fifth less time for 12 KiB than gRPC's own
	bufferBytes  = 128 << 10       // of reading and of writing, a connection
	maxStreams   = 4               // of one connection; the library uses one
	maxHeaders   = 16 << 10        // bytes
	handshake    = 5 * time.Second // from accept to the first frame
	dialPatience = 2 * time.Second // for a peer that was there when it was probed

	pingAfter = 10 * time.Second // of silence; gRPC's least
	pongWait  = 3 * time.Second
	pingLeast = 5 * time.Second // peers that ping more often are cut off
)

// batchBytes is the most that one batch of messages can have: each envelope has names, indices and its message.
func batchBytes(maxMessage int) int { return batchSize * (maxMessage + maxEnvelope) }

// maxEnvelope is what comes to a message in a batch: target and sender, a type's name, numbers.
const maxEnvelope = 4 << 10

func (l *Link) serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(l.door),
		grpc.ConnectionTimeout(handshake),
		grpc.MaxRecvMsgSize(batchBytes(l.config.MaxMessage)),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pongWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingLeast, PermitWithoutStream: true}),
		grpc.ForceServerCodecV2(codec{}),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes), grpc.WriteBufferSize(bufferBytes), grpc.ReadBufferSize(bufferBytes),
		grpc.StreamInterceptor(l.receive),
		grpc.UnaryInterceptor(l.who),
	}
}

// dialOptions are of the connections that the library opens. It leaks those that have been made and then fail, so the
// dial itself waits until the peer has answered, and closes what has not become one.
func dialOptions(c Config) []grpc.DialOption {
	creds := insecure.NewCredentials()
	if c.Client != nil {
		creds = credentials.NewTLS(c.Client)
	}
	patient := backoff.DefaultConfig
	patient.MaxDelay = dialPatience
	return []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes), grpc.WithWriteBufferSize(bufferBytes), grpc.WithReadBufferSize(bufferBytes),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pongWait, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: patient, MinConnectTimeout: dialPatience}),
		//lint:ignore SA1019 the library calls Dial, and only a Dial that blocks closes the connection when it fails
		grpc.WithBlock(),
		//lint:ignore SA1019 as above
		grpc.WithTimeout(dialPatience),
		//lint:ignore SA1019 as above
		grpc.FailOnNonTempDialError(true),
	}
}

func callOptions(c Config) []grpc.CallOption {
	return []grpc.CallOption{
		grpc.MaxCallSendMsgSize(batchBytes(c.MaxMessage)),
		grpc.MaxCallRecvMsgSize(64 << 10), // a peer answers with a few words on the stream that this side has opened
	}
}
