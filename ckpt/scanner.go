package ckpt

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// maxSkeleton bounds the opcodes of a file and the bytes they take without array bytes.
// A quantised tensor has 130 opcodes and 283 bytes.
const maxSkeleton = 8192

// skeleton is a pickle without its frames and byte strings: NEXT_BUFFER stands for each of the latter,
// so that whoever builds the objects neither sees nor copies array bytes.
type skeleton struct {
	ops      []byte
	payloads []payload // the byte strings, in file order
}

// payload is a byte string of a file.
type payload struct{ offset, size int64 }

// scan walks a pickle from PROTO to STOP. It believes no length before comparing it, unsigned, with what
// is left of the file, and takes memory for the skeleton alone.
func scan(r io.ReaderAt, size int64) (*skeleton, error) {
	s := scanner{cursor: cursor{r: r, size: size}}
	if err := prologue(&s.cursor); err != nil {
		return nil, err
	}
	s.ops = []byte{opProto, protocol}
	for range maxSkeleton {
		op, err := s.step()
		switch {
		case err != nil:
			return nil, err
		case len(s.ops) > maxSkeleton:
			return nil, errTooLong
		case op == opStop && s.left() > 0:
			return nil, badFormat("%d trailing bytes follow the pickle, which ends at byte %d: one file holds one tensor: download or copy it again", s.left(), s.pos)
		case op == opStop:
			return &s.skeleton, nil
		}
	}
	return nil, errTooLong
}

var errTooLong = badFormat("more than %d opcodes or bytes around its arrays, a tensor has a twentieth of that: not a file of a checkpoint", maxSkeleton)

// scanner is the state of a scan.
type scanner struct {
	cursor
	skeleton
	memos    int   // entries of the memo so far
	frameEnd int64 // offset of the first byte behind the open frame; 0: none is open
}

// step takes one opcode with its argument from the file to the skeleton.
func (s *scanner) step() (op byte, err error) {
	at := s.pos
	op, arg, err := next(&s.cursor)
	if err != nil {
		return op, err
	}
	switch kind := grammar[op]; kind {
	case argFrame:
		return op, s.openFrame(at, arg)
	case argBytes1, argBytes4, argBytes8:
		err = s.takePayload(at, arg)
	case argString:
		err = s.takeString(op, arg)
	case argMemo:
		if arg >= uint64(s.memos) {
			return op, badFormat("memo index %d at byte %d: only %d entries exist: the file is damaged, copy it again", arg, at, s.memos)
		}
		s.ops = append(s.ops, op, byte(arg))
	default:
		if op == opMemoize {
			s.memos++
		}
		s.ops = append(s.ops, op)
		s.ops = append(s.ops, binary.LittleEndian.AppendUint64(nil, arg)[:kind.width()]...)
	}
	if s.frameEnd != 0 && s.pos > s.frameEnd && err == nil {
		err = badFormat("the opcode at byte %d crosses the end of its frame: the file is damaged, copy it again", at)
	}
	if s.pos == s.frameEnd {
		s.frameEnd = 0
	}
	return op, err
}

// openFrame checks a frame's length; frames mean nothing else to a reader that has the whole file.
func (s *scanner) openFrame(at int64, size uint64) error {
	switch {
	case s.frameEnd != 0:
		return badFormat("a frame begins at byte %d inside another: the file is damaged, copy it again", at)
	case size > uint64(s.left()):
		return badFormat("truncated: the frame at byte %d has %d bytes, %d follow: download or copy the file again", at, size, s.left())
	case size > 0:
		s.frameEnd = s.pos + int64(size)
	}
	return nil
}

func (s *scanner) takePayload(at int64, size uint64) error {
	if size > uint64(s.left()) {
		return badFormat("truncated: the byte string at byte %d has %d bytes, %d follow: download or copy the file again", at, size, s.left())
	}
	s.ops = append(s.ops, opNextBuffer)
	s.payloads = append(s.payloads, payload{s.pos, int64(size)})
	s.skip(int64(size))
	return nil
}

func (s *scanner) takeString(op byte, size uint64) error {
	text, err := s.take(int(size))
	if err != nil {
		return err
	}
	s.ops = append(append(s.ops, op, byte(size)), text...)
	return refuseBuiltin(string(text))
}

// next reads an opcode of the whitelist and the number behind it.
func next(c *cursor) (op byte, arg uint64, err error) {
	at := c.pos
	b, err := c.take(1)
	if err != nil {
		return 0, 0, err
	}
	op = b[0]
	if grammar[op] == refused {
		if op == opGlobal {
			return 0, 0, refuseGlobal(c)
		}
		return 0, 0, badFormat("opcode 0x%02x at byte %d, which no checkpoint contains: the file is damaged or hostile: copy it again from its source", op, at)
	}
	b, err = c.take(grammar[op].width())
	for i, v := range b {
		arg |= uint64(v) << (8 * i)
	}
	return op, arg, err
}

// prologue checks the first two bytes, and says what else it found there if it is something well known.
func prologue(c *cursor) error {
	if c.size == 0 {
		return badFormat("truncated: the file is empty: download or copy it again")
	}
	head, err := c.take(int(min(c.size, 64)))
	if err != nil {
		return err
	}
	c.pos = 1
	switch {
	case head[0] == opProto:
		version, err := c.take(1)
		if err == nil && version[0] != protocol {
			err = badFormat("pickle protocol %d is unsupported, want %d: save it again with protocol=%d", version[0], protocol, protocol)
		}
		return err
	case head[0] == opGlobal:
		return refuseGlobal(c)
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return badFormat("not a pickle but a Git LFS pointer: fetch the data (git lfs pull)")
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n\xef\xbb\xbf"), []byte("<")):
		return badFormat("not a pickle but a web page, perhaps the error page of a download: download it again")
	case head[0] == 0:
		return badFormat("not a pickle but zero bytes: the download is not finished")
	}
	return badFormat("not a pickle: it begins with %q: download or copy it again", head[:min(len(head), 8)])
}

// refuseGlobal reports the name that a GLOBAL opcode, of older protocols, asks for.
func refuseGlobal(c *cursor) error {
	text, err := c.take(int(min(c.left(), 128)))
	if err != nil {
		return err
	}
	module, rest, _ := strings.Cut(string(text), "\n")
	name, _, _ := strings.Cut(rest, "\n")
	return refusedName(module, name)
}
