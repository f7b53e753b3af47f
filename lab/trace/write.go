package trace

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"troupe/router"
)

// Writer writes a file, document by document. One goroutine at a time uses it.
type Writer struct {
	out    io.Writer
	close  func() error // of the file; nil: it is the caller's
	name   string       // for messages
	header Header
	docs   uint64
	block  []byte // the one in the making, with its head
	counts []int32
	err    error // the first one of writing: nothing is written after it
}

// Create begins a file of that name. A file that is there is replaced.
func Create(name string, h Header) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("trace: %s: %w", name, err)
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	w, err := NewWriter(f, h)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	w.name, w.close = name, f.Close
	return w, nil
}

// NewWriter begins a file that goes to out, by one Write a block.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	w := &Writer{out: out, name: "writer", header: h, counts: make([]int32, h.NumLayers)}
	if _, err := io.WriteString(out, magic); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	w.begin()
	w.block = append(w.block, raw...)
	return w, w.end(headerBlock)
}

// Add writes a document. After an error that says what is wrong with the document the next one can be written;
// after one of writing all calls return it again.
func (w *Writer) Add(d *Doc) error {
	if w.err != nil {
		return w.err
	}
	if err := d.check(w.header); err != nil {
		return fmt.Errorf("trace: %s: document %d %q: %w", w.name, w.docs, d.ID, err)
	}
	w.begin()
	for _, s := range []string{d.ID, d.Domain, d.Experts, d.Text} {
		w.uvarint(len(s))
		w.block = append(w.block, s...)
	}
	w.uvarint(d.Prompt)
	w.uvarint(len(d.Tokens))
	for _, t := range d.Tokens {
		w.uvarint(int(t))
	}
	w.uvarint(len(d.Rows))
	if n := len(w.block) - blockHead; n > maxPayload {
		return fmt.Errorf("trace: %s: document %d %q: its tokens and its text take %d bytes, want at most %d: leave the text out, or cut it into documents", w.name, w.docs, d.ID, n, maxPayload)
	}
	if err := w.end(documentBlock); err != nil {
		return err
	}
	w.docs++
	return w.rows(d.Rows)
}

// rows writes the blocks of a document's rows.
func (w *Writer) rows(rows []router.RowRouting) error {
	w.begin()
	next := 0
	for i := range rows {
		w.row(&rows[i], next, i == 0)
		next = rows[i].Position + 1
		if len(w.block) >= fullRows || i == len(rows)-1 {
			if err := w.end(rowsBlock); err != nil {
				return err
			}
			w.begin()
		}
	}
	return nil
}

func (w *Writer) row(r *router.RowRouting, next int, first bool) {
	w.uvarint(r.Position - next)
	p := &r.Path
	same, one := !first, true
	for l := range w.counts {
		n := p.Start[l+1] - p.Start[l]
		same = same && n == w.counts[l]
		w.counts[l] = n
		one = one && n == w.counts[0]
	}
	switch {
	case same:
		w.block = append(w.block, sameCounts)
	case one:
		w.block = append(w.block, oneCount)
		w.uvarint(int(w.counts[0]))
	default:
		w.block = append(w.block, eachCount)
		for _, n := range w.counts {
			w.uvarint(int(n))
		}
	}
	for _, e := range p.Expert {
		w.block = append(w.block, byte(e))
		if w.header.expertBytes() == 2 {
			w.block = append(w.block, byte(e>>8))
		}
	}
	for _, g := range p.Gate {
		w.block = binary.LittleEndian.AppendUint16(w.block, half(g))
	}
}

func (w *Writer) uvarint(n int) { w.block = binary.AppendUvarint(w.block, uint64(n)) }

// begin makes room for the head of a block.
func (w *Writer) begin() { w.block = slices.Grow(w.block[:0], blockHead)[:blockHead] }

// end writes the block.
func (w *Writer) end(kind byte) error {
	putHead(w.block, kind)
	if _, err := w.out.Write(w.block); err != nil {
		w.err = fmt.Errorf("trace: %s: %w", w.name, err)
	}
	return w.err
}

// Close writes the end, without which a file counts as cut, and closes what Create opened.
func (w *Writer) Close() error {
	if w.err == nil {
		w.begin()
		w.block = binary.AppendUvarint(w.block, w.docs)
		w.end(endBlock)
	}
	err := w.err
	if w.close != nil {
		if e := w.close(); err == nil && e != nil {
			err = fmt.Errorf("trace: %w", e)
		}
		w.close = nil
	}
	if w.err == nil {
		w.err = fmt.Errorf("trace: %s: it has been closed", w.name)
	}
	return err
}
