package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"troupe/router"
)

// Reader reads a file, document by document. One goroutine at a time uses it.
type Reader struct {
	Header Header

	in      *bufio.Reader
	close   func() error // of the file; nil: it is the caller's
	name    string       // for messages
	payload bytes.Buffer // of the block at hand
	at      int64        // byte of the file where it begins
	next    int64        // where the next one does
	docs    uint64
	counts  []int32 // of the row before
	start   []int32 // that they give; rows that have the same share it, or a file could ask for much more than it has
	err     error   // the end, or what is wrong: reading stops there
}

// Open begins to read a file.
func Open(name string) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	r, err := newReader(f, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.close = f.Close
	return r, nil
}

// NewReader begins to read a file from in.
func NewReader(in io.Reader) (*Reader, error) { return newReader(in, "reader") }

func newReader(in io.Reader, name string) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 1<<16), name: name}
	line := make([]byte, len(magic))
	n, err := io.ReadFull(r.in, line)
	switch {
	case err == nil && string(line) == magic:
	case err == nil && strings.HasPrefix(string(line), magic[:len(magic)-2]):
		return nil, fmt.Errorf("trace: %s: version %q of the format, want 1: use the troupe that wrote it", name, line[len(magic)-2:])
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return nil, fmt.Errorf("trace: %s: begins with %q, want %q: it is not a file of routing", name, line[:n], magic)
	default:
		return nil, fmt.Errorf("trace: %s: %w", name, err)
	}
	r.next = int64(len(magic))
	kind, err := r.block()
	if err != nil {
		return nil, r.blame(err)
	}
	if kind != headerBlock {
		return nil, r.blame(fmt.Errorf("kind %q, want the header %q", kind, headerBlock))
	}
	if err := json.Unmarshal(r.payload.Bytes(), &r.Header); err != nil {
		return nil, r.blame(fmt.Errorf("header: %w", err))
	}
	if err := r.Header.check(); err != nil {
		return nil, r.blame(fmt.Errorf("header: %w", err))
	}
	r.counts = make([]int32, r.Header.NumLayers)
	return r, nil
}

// Close closes what Open opened.
func (r *Reader) Close() error {
	if r.close == nil {
		return nil
	}
	err := r.close()
	r.close, r.err = nil, fmt.Errorf("trace: %s: it has been closed", r.name)
	return err
}

// Next returns the next document, and io.EOF behind the last one. Where the file was cut within a document, it returns
// what of it is whole together with an error that is [ErrCut]; a damaged block is an error that says where.
func (r *Reader) Next() (*Doc, error) {
	if r.err != nil {
		return nil, r.err
	}
	kind, err := r.block()
	switch {
	case err != nil:
	case kind == documentBlock:
		var d *Doc
		if d, err = r.document(); err == nil {
			return d, nil
		}
		r.err = r.blame(err)
		return d, r.err
	case kind == endBlock:
		err = r.end()
	default:
		err = fmt.Errorf("kind %q, want a document %q or the end %q", kind, documentBlock, endBlock)
	}
	if err == io.EOF {
		r.err = err
	} else {
		r.err = r.blame(err)
	}
	return nil, r.err
}

// end compares the number of documents, and returns io.EOF.
func (r *Reader) end() error {
	c := cursor{left: r.payload.Bytes()}
	n := c.uvarint(1<<62, "documents")
	if err := c.end(); err != nil {
		return err
	}
	if uint64(n) != r.docs {
		return fmt.Errorf("the end of %d documents, but %d came before", n, r.docs)
	}
	if _, err := r.in.ReadByte(); err != io.EOF {
		return errors.New("something follows the end")
	}
	return io.EOF
}

// document reads a document whose first block is at hand. With an error it returns what is whole, or nil.
func (r *Reader) document() (*Doc, error) {
	c := cursor{left: r.payload.Bytes()}
	d := &Doc{ID: c.text("id"), Domain: c.text("domain"), Experts: c.text("experts"), Text: c.text("text")}
	d.Prompt = c.uvarint(maxPayload, "prompt")
	n := c.uvarint(len(c.left), "tokens") // each has a byte at least
	d.Tokens = make([]int32, 0, n)
	for range n {
		d.Tokens = append(d.Tokens, int32(c.uvarint(1<<31-1, "token")))
	}
	rows := c.uvarint(len(d.Tokens), "rows")
	err := c.end()
	if err == nil && d.Prompt > len(d.Tokens) {
		err = fmt.Errorf("%d of %d tokens are the prompt", d.Prompt, len(d.Tokens))
	}
	if err != nil {
		return nil, err
	}
	r.docs++
	return d, r.rows(d, rows)
}

// rows reads the blocks with so many rows of a document.
func (r *Reader) rows(d *Doc, rows int) error {
	position, size := 0, 0
	for len(d.Rows) < rows {
		kind, err := r.block()
		if err != nil {
			return err
		}
		if kind != rowsBlock {
			return fmt.Errorf("kind %q, want %q: %d of %d rows of document %q are there", kind, rowsBlock, len(d.Rows), rows, d.ID)
		}
		c := cursor{left: r.payload.Bytes()}
		for len(c.left) > 0 && len(d.Rows) < rows {
			position += c.uvarint(len(d.Tokens)-1-position, "position")
			path := r.path(&c, len(d.Rows) == 0)
			if c.err != nil {
				break
			}
			if size += words(path); size > maxWords {
				return fmt.Errorf("the rows of document %q take more than %d bytes", d.ID, 8*maxWords)
			}
			d.Rows = append(d.Rows, router.RowRouting{Position: position, Token: d.Tokens[position], Path: path})
			position++
		}
		if err := c.end(); err != nil {
			return fmt.Errorf("row %d of document %q: %w", len(d.Rows), d.ID, err)
		}
	}
	return nil
}

// path reads the experts and gates of a row.
func (r *Reader) path(c *cursor, first bool) (p router.Path) {
	form, other := c.byte(), first
	count := func(l, n int) {
		other = other || r.counts[l] != int32(n)
		r.counts[l] = int32(n)
	}
	switch {
	case form == sameCounts && !first:
	case form == oneCount:
		n := c.uvarint(r.Header.NumExperts, "experts")
		for l := range r.counts {
			count(l, n)
		}
	case form == eachCount:
		for l := range r.counts {
			count(l, c.uvarint(r.Header.NumExperts, "experts"))
		}
	default:
		c.fail("counts in form %d", form)
	}
	if c.err == nil && other {
		r.start = make([]int32, 1, len(r.counts)+1)
		for _, n := range r.counts {
			r.start = append(r.start, r.start[len(r.start)-1]+n)
		}
	}
	if c.err != nil {
		return p
	}
	pairs := int(r.start[len(r.counts)])
	size := r.Header.expertBytes()
	experts := c.bytes(pairs*size, "experts")
	gates := c.bytes(pairs*2, "gates")
	if c.err != nil {
		return p
	}
	p = router.Path{Start: r.start, Expert: make([]int32, pairs), Gate: make([]float32, pairs)}
	for i := range pairs {
		e := int32(experts[i*size])
		if size == 2 {
			e |= int32(experts[2*i+1]) << 8
		}
		if int(e) >= r.Header.NumExperts {
			c.fail("expert %d, want 0 to %d", e, r.Header.NumExperts-1)
		}
		p.Expert[i], p.Gate[i] = e, float(binary.LittleEndian.Uint16(gates[2*i:]))
	}
	return p
}

// block reads the next block; its payload is valid until the next one. The end of the file is ErrCut here: the
// block that ends a file comes before it.
func (r *Reader) block() (kind byte, err error) {
	r.at = r.next
	var head [blockHead]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, cut(err)
	}
	length := int64(binary.LittleEndian.Uint32(head[1:]))
	if length > maxPayload {
		return 0, fmt.Errorf("%d bytes, want at most %d", length, maxPayload)
	}
	r.payload.Reset()
	if _, err := io.CopyN(&r.payload, r.in, length); err != nil { // it grows with what is there
		return 0, cut(err)
	}
	if got, want := checksum(head[:], r.payload.Bytes()), binary.LittleEndian.Uint32(head[5:]); got != want {
		return 0, fmt.Errorf("checksum %08x, want %08x: the file is damaged here", got, want)
	}
	r.next += blockHead + length
	return head[0], nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

func (r *Reader) blame(err error) error {
	return fmt.Errorf("trace: %s: block at byte %d: %w", r.name, r.at, err)
}
