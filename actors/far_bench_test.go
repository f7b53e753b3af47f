package actors

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
)

// echoKey makes the test binary the far side of a measurement.
const echoKey = "TROUPE_ACTORS_ECHO"

// The far side sends back what is for one of these.
const (
	atOnce  = 1 // from the goroutine that reads
	byActor = 2 // from an actor on a lane, as a gate does
)

// echoActor sends rows back.
type echoActor struct{ conn *stream.Conn }

func (e *echoActor) Receive(c actor.Context) {
	if m, ok := c.Message().(*wire.Rows); ok {
		e.conn.Send(byActor, m)
		wire.Free(m)
	}
}

// askActor takes the time of a message and its answer.
type askActor struct {
	conn   *stream.Conn
	begin  time.Time
	answer chan time.Duration
}

type askNow struct {
	target  uint32
	message proto.Message
}

func (a *askActor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case askNow:
		a.begin = time.Now()
		a.conn.Send(m.target, m.message)
		wire.Free(m.message)
	case *wire.Rows:
		wire.Free(m)
		a.answer <- time.Since(a.begin)
	}
}

// echo is the far side: a bare connection that sends bytes back, and one of this package's kind in plain text and one
// with TLS. It says where they are, and ends with its standard input.
func echo() error {
	cert, key, server, _, err := strangers()
	if err != nil {
		return err
	}
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		if c, err := bare.Accept(); err == nil {
			bareEcho(c)
		}
	}()
	fmt.Printf("%x %x %d", cert, key, bare.Addr().(*net.TCPAddr).Port)
	for _, settings := range []*tls.Config{nil, server} {
		l, err := stream.Listen("127.0.0.1:0", settings)
		if err != nil {
			return err
		}
		e := &echoActor{}
		system := newSystem()
		pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return e }, actor.WithDispatcher(newLane()), actor.WithMailbox(testMailbox)))
		config := stream.Config{Out: wire.DataToHead(), In: wire.DataToWorker(), MaxMessage: maxMessage, Tail: wire.Values, Room: wire.Room, Take: func(target uint32, m proto.Message) {
			if target == atOnce {
				e.conn.Send(atOnce, m)
				wire.Free(m)
				return
			}
			system.Root.Send(pid, m)
		}}
		secret, _ := l.Expect(config, func(c *stream.Conn) {
			e.conn = c
			c.Start()
		})
		fmt.Printf(" %d %x", l.Port(), secret)
	}
	fmt.Println()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// bareEcho sends back what it reads in pieces whose size comes first.
func bareEcho(c net.Conn) {
	defer c.Close()
	for size := make([]byte, 4); ; {
		if _, err := io.ReadFull(c, size); err != nil {
			return
		}
		n := int(size[0]) | int(size[1])<<8 | int(size[2])<<16 | int(size[3])<<24
		buf := make([]byte, n)
		for range echoRounds {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
}

// echoRounds is how many messages of a kind follow each other, before another kind has its turn.
const echoRounds = 20

// strangers are a certificate and its key, and settings for two sides that both have it.
func strangers() (cert, key []byte, server, client *tls.Config, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if cert, err = x509.CreateCertificate(rand.Reader, c, c, private.Public(), private); err != nil {
		return nil, nil, nil, nil, err
	}
	if key, err = x509.MarshalECPrivateKey(private); err != nil {
		return nil, nil, nil, nil, err
	}
	server, client, err = settingsOf(cert, key)
	return cert, key, server, client, err
}

func settingsOf(cert, key []byte) (server, client *tls.Config, err error) {
	leaf, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.ParseECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	known := x509.NewCertPool()
	known.AddCert(leaf)
	own := []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}}
	return &tls.Config{Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, MinVersion: tls.VersionTLS13},
		&tls.Config{Certificates: own, RootCAs: known, MinVersion: tls.VersionTLS13}, nil
}

// BenchmarkFarHop is rows that go to another process and come back, from actor to actor over a connection for batches,
// in plain text and with TLS, beside the same bytes over a bare connection, in turns: medians in µs, and how many
// times the bare one's they are.
func BenchmarkFarHop(b *testing.B) {
	said := startEcho(b)
	bare, err := net.Dial("tcp", "127.0.0.1:"+said[2])
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	cert, key := unhex(b, said[0]), unhex(b, said[1])
	_, client, err := settingsOf(cert, key)
	if err != nil {
		b.Fatal(err)
	}
	asks := []*asker{newAsker(b, said[3], said[4], nil), newAsker(b, said[5], said[6], client)}
	for _, size := range []int{12 << 10, 24 << 10, 256 << 10} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			ways := []struct {
				name string
				ask  func() time.Duration
			}{
				{"bare", nil},
				{"plain", func() time.Duration { return asks[0].ask(b, byActor, size) }},
				{"tls", func() time.Duration { return asks[1].ask(b, byActor, size) }},
				{"plain-at-once", func() time.Duration { return asks[0].ask(b, atOnce, size) }},
			}
			times := make([][]time.Duration, len(ways))
			for b.Loop() {
				for i, w := range ways {
					if w.ask == nil {
						times[i] = append(times[i], bareAsk(b, bare, size)...)
						continue
					}
					for range echoRounds {
						times[i] = append(times[i], w.ask())
					}
				}
			}
			first := time.Duration(0)
			for i, w := range ways {
				slices.Sort(times[i])
				m := times[i][len(times[i])/2]
				b.ReportMetric(float64(m.Nanoseconds())/1e3, w.name+"-µs")
				if i == 0 {
					first = m
					continue
				}
				b.ReportMetric(float64(m)/float64(first), w.name+"/bare")
			}
			b.ReportMetric(0, "ns/op") // of four things together it says nothing
		})
	}
}

// startEcho starts the far side and returns what it says.
func startEcho(b *testing.B) []string {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stderr = append(os.Environ(), echoKey+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	said := strings.Fields(line)
	if err != nil || len(said) != 7 {
		b.Fatalf("the far side says %q: %v", line, err)
	}
	return said
}

func unhex(b *testing.B, s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// asker is an actor of this side with its connection.
type asker struct {
	*askActor
	system *actor.ActorSystem
	pid    *actor.PID
}

func newAsker(b *testing.B, port, secret string, client *tls.Config) *asker {
	a := &asker{askActor: &askActor{answer: make(chan time.Duration, 1)}, system: newSystem()}
	on := newLooseLane()
	a.pid = a.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a.askActor }, actor.WithDispatcher(on), actor.WithMailbox(testMailbox)))
	config := stream.Config{Out: wire.DataToWorker(), In: wire.DataToHead(), MaxMessage: maxMessage, Tail: wire.Values, Room: wire.Room,
		Take: func(_ uint32, m proto.Message) { a.system.Root.Send(a.pid, m) }, Lost: func(why error) { b.Error(why) }}
	var err error
	if a.conn, err = stream.Dial(context.Background(), "127.0.0.1:"+port, client, unhex(b, secret), config); err != nil {
		b.Fatal(err)
	}
	a.conn.Start()
	b.Cleanup(func() {
		a.conn.Close()
		a.conn.Wait()
		on.stop()
		a.system.Shutdown()
	})
	return a
}

func (a *asker) ask(b *testing.B, target uint32, size int) time.Duration {
	a.system.Root.Send(a.pid, askNow{target, &wire.Rows{Rows: []int32{1}, Values: wire.Room(size)}})
	select {
	case d := <-a.answer:
		return d
	case <-time.After(time.Minute):
		b.Fatal("no answer")
		return 0
	}
}

func bareAsk(b *testing.B, c net.Conn, size int) (times []time.Duration) {
	if _, err := c.Write([]byte{byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24)}); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, size)
	for range echoRounds {
		begin := time.Now()
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	return times
}
