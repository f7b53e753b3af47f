package trace

import (
	"encoding/binary"
	"fmt"
)

// cursor reads the payload of a block. The first error stays, and everything read after it is zero.
type cursor struct {
	left []byte
	err  error
}

func (c *cursor) fail(format string, a ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, a...)
	}
	c.left = nil
}

// uvarint reads a number of 0 to most; what names it in messages.
func (c *cursor) uvarint(most int, what string) int {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.left)
	switch {
	case n <= 0:
		c.fail("%s: no number", what)
		return 0
	case most < 0 || v > uint64(most):
		c.fail("%s: %d, want 0 to %d", what, v, most)
		return 0
	}
	c.left = c.left[n:]
	return int(v)
}

func (c *cursor) byte() byte {
	b := c.bytes(1, "a byte")
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// bytes are the next n, valid as long as the payload.
func (c *cursor) bytes(n int, what string) []byte {
	if c.err == nil && n > len(c.left) {
		c.fail("%s: %d bytes left, want %d", what, len(c.left), n)
	}
	if c.err != nil {
		return nil
	}
	b := c.left[:n]
	c.left = c.left[n:]
	return b
}

func (c *cursor) text(what string) string {
	return string(c.bytes(c.uvarint(maxPayload, what+"'s length"), what))
}

// end is the first error; bytes that are left are one.
func (c *cursor) end() error {
	if c.err == nil && len(c.left) > 0 {
		c.fail("%d bytes too many", len(c.left))
	}
	return c.err
}
