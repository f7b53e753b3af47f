//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"encoding/binary"
	"fmt"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// needs are the parts of a frame's description that a segment's calls read.
type needs struct{ token, pos, attend, draw, pairs, work bool }

func (n *needs) add(c *kernels.Call) {
	switch c.Op {
	case kernels.Embed:
		n.token = true
	case kernels.RoPE:
		n.pos = true
	case kernels.Attend:
		n.pos, n.attend = true, true
	case kernels.Head:
		n.draw = true
	case kernels.Combine:
		n.pairs = true
	case kernels.Expert:
		n.work = true
	}
}

// list is an array of 32-bit values of the frame, on the GPU.
type list struct {
	at   int // in the arena
	data device.Ptr
}

// meta is the description of a batch on the GPU: rows, tables, pairs and work, int32 all but the gates.
type meta struct {
	needs                                                needs
	token, pos, seq, first, keyless, prompt              list
	tables, skip, skipStart, draw, start, gate, row, dst list
	stride                                               int // of tables
	keys                                                 int // of the row that has most
}

// measure checks what kernels take on trust, and lays the arrays out.
func (m *meta) measure(f *frame, n needs) error {
	r := &f.in.Rows
	m.needs, m.stride, m.keys = n, 0, 0
	if r.N < 0 || r.N > 65535 {
		return fmt.Errorf("cuda: %d rows, want at most 65535: smaller batches", r.N)
	}
	rows := func(on bool, l *list, have int, name string) error {
		if on && have < r.N {
			return fmt.Errorf("cuda: %d rows, but %s has %d", r.N, name, have)
		}
		m.place(f, on, l, r.N)
		return nil
	}
	for _, a := range []struct {
		on   bool
		l    *list
		have int
		name string
	}{
		{n.token, &m.token, len(r.Token), "Token"}, {n.pos, &m.pos, len(r.Pos), "Pos"}, {n.attend, &m.seq, len(r.Seq), "Seq"},
		{n.attend, &m.first, len(r.First), "First"}, {n.attend, &m.keyless, len(r.Keyless), "Keyless"}, {n.attend, &m.prompt, len(r.Prompt), "Prompt"},
	} {
		if err := rows(a.on, a.l, a.have, a.name); err != nil {
			return err
		}
	}
	if n.attend {
		if err := m.measureTables(r); err != nil {
			return err
		}
	}
	skips := 0
	for _, s := range r.Skip {
		skips += len(s)
	}
	m.place(f, n.attend, &m.tables, len(r.Tables)*m.stride)
	m.place(f, n.attend, &m.skip, skips)
	m.place(f, n.attend, &m.skipStart, len(r.Tables)+1)
	m.place(f, n.draw, &m.draw, len(r.Draw))
	m.place(f, n.pairs, &m.start, len(f.in.Pairs.Start))
	m.place(f, n.pairs, &m.gate, len(f.in.Pairs.Gate))
	m.place(f, n.work, &m.row, len(f.in.Work.Row))
	m.place(f, n.work, &m.dst, len(f.in.Work.Dst))
	return nil
}

func (m *meta) place(f *frame, on bool, l *list, n int) {
	if on {
		l.at = f.place(4 * n)
	}
}

// measureTables checks that every row's sequence has blocks for all keys that the row looks at.
func (m *meta) measureTables(r *kernels.Rows) error {
	if len(r.Skip) < len(r.Tables) {
		return fmt.Errorf("cuda: %d block tables, but Skip has %d", len(r.Tables), len(r.Skip))
	}
	for i := range r.N {
		keys, seq := keysOf(r, i), int(r.Seq[i])
		if seq < 0 || seq >= len(r.Tables) {
			return fmt.Errorf("cuda: row %d: sequence %d of %d", i, seq, len(r.Tables))
		}
		blocks := ceilDiv(max(keys, int(r.Pos[i])+1), kernels.BlockTokens)
		if r.Pos[i] < 0 || r.Keyless[i] < 0 || blocks > len(r.Tables[seq]) {
			return fmt.Errorf("cuda: row %d: position %d, %d keys: its sequence has %d blocks of the cache", i, r.Pos[i], keys, len(r.Tables[seq]))
		}
		m.stride, m.keys = max(m.stride, blocks), max(m.keys, keys)
	}
	return nil
}

// keysOf is the number of positions, from 0 on, that a row looks at.
func keysOf(r *kernels.Rows, i int) int {
	if n := int(r.Keyless[i]); n > 0 {
		return n
	}
	return int(r.Pos[i]) + 1
}

// write fills the arrays' page-locked twins and sets where they are on the GPU.
func (m *meta) write(f *frame) {
	r, n := &f.in.Rows, m.needs
	ints := func(on bool, l *list, v []int32) {
		if on {
			l.data = f.arena.data + device.Ptr(l.at)
			copy(f.arena.host[l.at:], bytesOf(v))
		}
	}
	ints(n.token, &m.token, first(r.Token, r.N))
	ints(n.pos, &m.pos, first(r.Pos, r.N))
	ints(n.draw, &m.draw, r.Draw)
	ints(n.pairs, &m.start, f.in.Pairs.Start)
	ints(n.work, &m.row, f.in.Work.Row)
	ints(n.work, &m.dst, f.in.Work.Dst)
	if n.pairs {
		m.gate.data = f.arena.data + device.Ptr(m.gate.at)
		copy(f.arena.host[m.gate.at:], bytesOf(f.in.Pairs.Gate))
	}
	if !n.attend {
		return
	}
	ints(true, &m.seq, first(r.Seq, r.N))
	ints(true, &m.first, first(r.First, r.N))
	ints(true, &m.keyless, first(r.Keyless, r.N))
	ints(true, &m.prompt, nil)
	ints(true, &m.tables, nil)
	ints(true, &m.skip, nil)
	ints(true, &m.skipStart, nil)
	put := func(l *list, i int, v int32) { binary.NativeEndian.PutUint32(f.arena.host[l.at+4*i:], uint32(v)) }
	for i := range r.N {
		v := int32(0)
		if r.Prompt[i] {
			v = 1
		}
		put(&m.prompt, i, v)
	}
	skips := 0
	for s, table := range r.Tables {
		table = first(table, min(m.stride, len(table)))
		copy(f.arena.host[m.tables.at+4*s*m.stride:], bytesOf(table))
		clear(f.arena.host[m.tables.at+4*(s*m.stride+len(table)) : m.tables.at+4*(s+1)*m.stride])
		put(&m.skipStart, s, int32(skips))
		copy(f.arena.host[m.skip.at+4*skips:], bytesOf(r.Skip[s]))
		skips += len(r.Skip[s])
	}
	put(&m.skipStart, len(r.Tables), int32(skips))
}

func first[T any](s []T, n int) []T {
	if n > len(s) {
		n = len(s)
	}
	return s[:n]
}
