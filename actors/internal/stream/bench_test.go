package stream

import (
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func BenchmarkEcho(b *testing.B) {
	here, there := newSide(), newSide()
	done := make(chan time.Duration, 1)
	var begin time.Time
	var a, z *Conn
	there.config.Take = func(_ uint32, m proto.Message) { z.Send(1, m) }
	here.config.Take = func(_ uint32, m proto.Message) { done <- time.Since(begin) }
	there.config.Lost, here.config.Lost = nil, nil
	l, address := listening(b, nil)
	came := make(chan *Conn, 1)
	secret, _ := l.Expect(there.config, func(c *Conn) { came <- c })
	a, err := Dial(b.Context(), address, nil, secret, here.config)
	if err != nil {
		b.Fatal(err)
	}
	z = <-came
	a.Start()
	z.Start()
	defer a.Close()
	defer z.Close()
	bl, _ := net.Listen("tcp", "127.0.0.1:0")
	defer bl.Close()
	for _, size := range []int{12 << 10, 24 << 10, 256 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			go func() {
				c, _ := bl.Accept()
				buf := make([]byte, size)
				for {
					if _, err := io.ReadFull(c, buf); err != nil {
						return
					}
					c.Write(buf)
				}
			}()
			c, _ := net.Dial("tcp", bl.Addr().String())
			defer c.Close()
			buf := make([]byte, size)
			m := wrapperspb.Bytes(buf)
			var ours, bare []time.Duration
			for b.Loop() {
				for range 20 {
					begin = time.Now()
					a.Send(1, m)
					ours = append(ours, <-done)
				}
				for range 20 {
					begin = time.Now()
					c.Write(buf)
					io.ReadFull(c, buf)
					bare = append(bare, time.Since(begin))
				}
			}
			slices.Sort(ours)
			slices.Sort(bare)
			b.ReportMetric(float64(ours[len(ours)/2].Nanoseconds())/1e3, "ours-µs")
			b.ReportMetric(float64(bare[len(bare)/2].Nanoseconds())/1e3, "bare-µs")
		})
	}
}
