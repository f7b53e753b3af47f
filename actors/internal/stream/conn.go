package stream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
)

// Conn carries messages in both directions. It is safe for concurrent use.
type Conn struct {
	config Config
	kinds  map[reflect.Type]uint8 // that go out
	sink   *sink
	tls    *tls.Conn // nil: plain text

	send   sync.Mutex // one message after the other
	record []byte     // TLS: room for a message

	over  atomic.Bool // it has ended, or this side ends it
	once  sync.Once
	grace *time.Timer // of End; under send
	all   sync.WaitGroup
}

// endGrace is how long the peer may take to close its side after a last message.
const endGrace = time.Second

// newConn wraps a connection in the settings of one side, before the handshake.
func newConn(raw *net.TCPConn, config Config, secure func(net.Conn) *tls.Conn) (*Conn, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s, err := newSink(raw, config.Queue)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	c := &Conn{config: config, kinds: kinds(config.Out), sink: s}
	if secure != nil {
		s.in = bufio.NewReaderSize(raw, readRoom)
		c.tls = secure(s)
	}
	return c, nil
}

// plain is where bytes of messages are read, and those of the handshake written.
func (c *Conn) plain() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.sink
}

// Start lets messages in and out. Those that were sent before go out now.
func (c *Conn) Start() {
	c.sink.mu.Lock()
	c.sink.flush()
	err := c.sink.err
	c.sink.mu.Unlock()
	c.all.Go(func() { c.sink.write(c.fail) })
	c.all.Go(c.read)
	if err != nil {
		c.fail(err)
	}
}

// Send sends a message to an actor of the peer. It does not wait. What cannot be sent ends the connection; what is
// sent after its end is gone.
func (c *Conn) Send(target uint32, m proto.Message) { c.queue(target, m, true) }

// Later sends a message with the next one: each time that something is written costs as much as 10 KiB.
func (c *Conn) Later(target uint32, m proto.Message) { c.queue(target, m, false) }

func (c *Conn) queue(target uint32, m proto.Message, now bool) {
	if c.over.Load() {
		return
	}
	c.send.Lock()
	err := c.put(target, m, now)
	c.send.Unlock()
	if err != nil {
		c.fail(err)
	}
}

// put writes a message with those that wait, or has it wait. The caller has c.send.
func (c *Conn) put(target uint32, m proto.Message, now bool) (err error) {
	kind, ok := c.kinds[reflect.TypeOf(m)]
	if !ok {
		return fmt.Errorf("stream: %T is no kind that goes out", m)
	}
	s := c.sink
	if c.tls == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.out, err = c.config.appendFrame(s.out, kind, target, m); err != nil {
			return err
		}
	} else {
		if c.record, err = c.config.appendFrame(c.record[:0], kind, target, m); err != nil {
			return err
		}
		s.cork()
		_, err = c.tls.Write(c.record)
		c.record = emptied(c.record)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.corked = false
		if err != nil {
			return err
		}
	}
	if now {
		s.flush()
	}
	s.check()
	return s.err
}

func (s *sink) cork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked = true
}

// End says a last message and closes the connection when it is written and the peer has closed its side, after a
// second whatever it does. It does not wait, and Lost is not called any more.
func (c *Conn) End(target uint32, m proto.Message) {
	if c.over.Swap(true) {
		return
	}
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.put(target, m, true); err != nil {
		c.close()
		return
	}
	c.grace = time.AfterFunc(endGrace, c.close)
	c.sink.end()
}

// Close closes the connection at once. Lost is not called any more.
func (c *Conn) Close() {
	c.over.Store(true)
	c.close()
}

// Wait waits until nothing of the connection is left, once it has ended.
func (c *Conn) Wait() { c.all.Wait() }

// fail ends the connection for a reason, which is told unless it has ended before.
func (c *Conn) fail(why error) {
	told := c.over.Swap(true)
	c.close()
	if !told && c.config.Lost != nil {
		go c.config.Lost(why) // who sends may hold what Lost wants
	}
}

func (c *Conn) close() {
	c.once.Do(func() {
		close(c.sink.quit)
		_ = c.sink.Close()
	})
}
