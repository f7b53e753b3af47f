package stream

import (
	"errors"
	"fmt"
	"io"
)

// readRoom is what a reader begins with; it grows to the largest message.
const readRoom = 64 << 10

// ErrEnded is why a connection is lost that the peer has closed, or that was cut.
var ErrEnded = errors.New("the connection for batches ended")

// read is the reader.
func (c *Conn) read() {
	err := c.readAll(c.plain())
	c.send.Lock()
	if c.grace != nil {
		c.grace.Stop()
	}
	c.send.Unlock()
	c.fail(err)
}

// readAll takes messages in until the connection ends, and says why it does.
func (c *Conn) readAll(from io.Reader) error {
	buf, lo, hi := make([]byte, readRoom), 0, 0
	for {
		for {
			f, size, whole, err := c.config.parse(buf[lo:hi])
			if err != nil {
				return err
			}
			if !whole {
				buf, lo, hi = room(buf, lo, hi, size)
				break
			}
			lo += size
			m, err := c.config.read(f)
			if err != nil {
				return err
			}
			c.config.Take(f.target, m)
		}
		n, err := from.Read(buf[hi:])
		hi += n
		if err != nil {
			return why(err, hi-lo)
		}
	}
}

// room makes room for a frame of a size whose beginning is at lo.
func room(buf []byte, lo, hi, size int) ([]byte, int, int) {
	switch {
	case lo == hi && size <= len(buf):
		return buf, 0, 0
	case len(buf)-lo >= size:
		return buf, lo, hi
	case len(buf) < size:
		larger := make([]byte, max(size, min(2*len(buf), 8*size)))
		return larger, 0, copy(larger, buf[lo:hi])
	}
	return buf, 0, copy(buf, buf[lo:hi])
}

// why puts the end of a connection into words.
func why(err error, rest int) error {
	switch {
	case rest > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return fmt.Errorf("%w in the middle of a message", ErrEnded)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrEnded
	}
	return fmt.Errorf("%w: %w", ErrEnded, reasonOf(err))
}
