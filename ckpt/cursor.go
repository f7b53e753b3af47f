package ckpt

import (
	"errors"
	"io"
)

// cursor reads a file forwards through a small window and steps over array bytes without reading them.
type cursor struct {
	r         io.ReaderAt
	pos, size int64
	window    []byte // the bytes from start on
	start     int64
	buf       [2048]byte
}

// take returns the next n bytes, valid until the next call; n is at most len(buf).
func (c *cursor) take(n int) ([]byte, error) {
	if int64(n) > c.size-c.pos {
		return nil, badFormat("truncated: it ends at byte %d, in the middle of its pickle: download or copy it again", c.size)
	}
	off := c.pos - c.start
	if off < 0 || off+int64(n) > int64(len(c.window)) {
		want := min(int64(len(c.buf)), c.size-c.pos)
		got, err := c.r.ReadAt(c.buf[:want], c.pos)
		if int64(got) < want {
			if err == nil || errors.Is(err, io.EOF) {
				return nil, badFormat("truncated: it was cut to %d bytes while being read: copy it again", c.pos+int64(got))
			}
			return nil, explain(err)
		}
		c.window, c.start, off = c.buf[:got], c.pos, 0
	}
	c.pos += int64(n)
	return c.window[off : off+int64(n)], nil
}

// skip steps over n bytes, which the caller has compared with left.
func (c *cursor) skip(n int64) { c.pos += n }

// left is the number of bytes that follow.
func (c *cursor) left() int64 { return c.size - c.pos }
