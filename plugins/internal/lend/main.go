package lend

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/wire"
)

// Handshake is what engine and plugin say to each other first.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue}
}

// maxRequest bounds a control message: one that compiles a segment names a few hundred weights.
const maxRequest = 64 << 20

// Main is the life of a plugin: it serves the variants until the engine is gone, and returns the exit status.
// Without an engine it says what it is.
func Main(name string, variants []kernels.Variant, args []string, out io.Writer) int {
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		return byHand(name, variants, args, out)
	}
	s := &server{name: name, version: version(), variants: variants, kernels: map[uint64]kernels.Kernel{}}
	if err := begin(s); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{wire.Service: service{server: s}},
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(maxRequest), grpc.UnaryInterceptor(guard))...)
		},
	})
	return 0
}

// service is what go-plugin asks for.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer registers the plugin's side.
func (s service) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterKernelsServer(g, s.server)
	return nil
}

// GRPCClient is the engine's matter.
func (s service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, status.Error(codes.Unimplemented, "a plugin starts no plugins")
}

// guard makes panics errors.
func guard(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	settle()
	defer func() {
		if p := recover(); p != nil {
			err = status.Error(codes.Internal, cut(fmt.Sprintf("panic: %v\n%s", p, debug.Stack())))
		}
	}()
	return next(ctx, request)
}

// byHand tells a person what the program is, and with --describe what it has.
func byHand(name string, variants []kernels.Variant, args []string, out io.Writer) int {
	if len(args) == 0 || args[len(args)-1] != "--describe" {
		fmt.Fprintf(os.Stderr, "%s is a plugin of troupe with kernels: try `%s --describe`, or `troupe kernels list --plugin %s`\n", name, os.Args[0], os.Args[0])
		return 1
	}
	fmt.Fprintf(out, "%s %s, protocol %d\n", name, version(), wire.Version)
	for _, v := range variants {
		d := describe(v)
		fmt.Fprintf(out, "  %s: score %d: %s\n", d.Name, d.Score, d.Doc)
		switch {
		case d.Error != "":
			fmt.Fprintf(out, "    does not open: %s\n", d.Error)
		case d.Info == nil:
			fmt.Fprintf(out, "    cannot run on this machine: it needs %s\n", d.Needs)
		default:
			fmt.Fprintf(out, "    version %s, %s, ops %s\n", d.Info.Version, promise(d.Info.Promise), ops(d.Info.Ops))
		}
	}
	return 0
}

func promise(p uint32) string {
	if p == uint32(kernels.Identical) {
		return "identical to the definition"
	}
	return "close to the definition"
}

func ops(b []byte) string {
	var names []string
	for _, o := range b {
		names = append(names, kernels.Op(o).String())
	}
	return strings.Join(names, ", ")
}

// version is that of the program's build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// Name is a plugin's name where it gives none itself: that of its file.
func Name(file string) string { return strings.TrimSuffix(filepath.Base(file), ".exe") }
