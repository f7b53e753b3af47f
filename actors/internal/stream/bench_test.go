package stream

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const echoRounds = 20 // of one kind, before another has its turn

// BenchmarkEcho is a message that comes back, in plain text and with TLS, beside the same bytes over a bare
// connection, in turns: medians in µs, and how many times the bare one's they are.
func BenchmarkEcho(b *testing.B) {
	server, client := secured(b)
	plain, secure, bare := newEcho(b, nil, nil), newEcho(b, server, client), bareEcho(b)
	for _, size := range []int{12 << 10, 24 << 10, 256 << 10} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			ways := []func([]byte) time.Duration{bare, plain, secure}
			times, buf := make([][]time.Duration, len(ways)), make([]byte, size)
			for b.Loop() {
				for i, ask := range ways {
					for range echoRounds {
						times[i] = append(times[i], ask(buf))
					}
				}
			}
			first := time.Duration(0)
			for i, name := range []string{"bare", "plain", "tls"} {
				slices.Sort(times[i])
				m := times[i][len(times[i])/2]
				b.ReportMetric(float64(m.Nanoseconds())/1e3, name+"-µs")
				if i == 0 {
					first = m
					continue
				}
				b.ReportMetric(float64(m)/float64(first), name+"/bare")
			}
			b.ReportMetric(0, "ns/op") // of three things together it says nothing
		})
	}
}

// newEcho is a connection whose far end sends back what comes.
func newEcho(b *testing.B, server, client *tls.Config) func([]byte) time.Duration {
	here, there := newSide(), newSide()
	done := make(chan struct{}, 1)
	room := [2][]byte{make([]byte, 1<<20), make([]byte, 1<<20)}
	here.config.Room, there.config.Room = func(n int) []byte { return room[0][:n] }, func(n int) []byte { return room[1][:n] }
	here.config.Take = func(uint32, proto.Message) { done <- struct{}{} }
	var near, far *Conn
	known := make(chan struct{})
	there.config.Take = func(target uint32, m proto.Message) {
		<-known
		far.Send(target, m)
	}
	here.config.Lost = func(why error) { b.Error(why) }
	near, far = pair(b, here, there, server, client)
	close(known)
	return func(buf []byte) time.Duration {
		begin := time.Now()
		near.Send(1, wrapperspb.Bytes(buf))
		<-done
		return time.Since(begin)
	}
}

// bareEcho is the same over a bare connection.
func bareEcho(b *testing.B) func([]byte) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	sizes := make(chan int)
	b.Cleanup(func() { close(sizes) })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 1<<20)
		for n := range sizes {
			if _, err := io.ReadFull(c, buf[:n]); err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return func(buf []byte) time.Duration {
		sizes <- len(buf)
		begin := time.Now()
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
}
