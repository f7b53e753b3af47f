package link

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// BenchmarkRoundTrip is a message and its answer of the same size between two systems, and the same bytes over a bare
// connection.
func BenchmarkRoundTrip(b *testing.B) {
	a := newAuthority(b)
	for _, size := range []int{16, 12 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("tcp/%d", size), func(b *testing.B) { overTCP(b, size) })
		b.Run(fmt.Sprintf("plain/%d", size), func(b *testing.B) { overLink(b, plain("127.0.0.1:0"), size) })
		b.Run(fmt.Sprintf("tls/%d", size), func(b *testing.B) { overLink(b, a.secure(b, "127.0.0.1", soon()), size) })
	}
}

func overLink(b *testing.B, c Config, size int) {
	_, here := started(b, c)
	there, _ := started(b, c)
	answered := make(chan struct{}, 1)
	to, message := actor.NewPID(there.Address(), "part-echo"), wrapperspb.Bytes(make([]byte, size))
	asker, err := here.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case string:
			c.Request(to, message)
		case *wrapperspb.BytesValue:
			answered <- struct{}{}
		}
	}), "part-asker")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(2 * int64(size))
	for b.Loop() {
		here.Root.Send(asker, "ask")
		<-answered
	}
}

func overTCP(b *testing.B, size int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			for buf := make([]byte, size); ; {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, size)
	b.SetBytes(2 * int64(size))
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
