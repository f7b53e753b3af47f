package ckpt

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"troupe/tensor"
)

// HasPacked tells whether a model directory has a packed file. It counts, whatever else is there.
func HasPacked(model fs.FS) bool {
	_, err := fs.Stat(model, PackedName)
	return !errors.Is(err, fs.ErrNotExist)
}

// packedFile is the header of a packed file, checked as far as that needs no model.
type packedFile struct {
	meta    map[string]string
	entries []packedEntry // in the order of the data, without gap or overlap, to the end of the file
	sums    []uint32      // checksums of the entries, padding left out
	base    int64         // where the data begins
	byName  map[string]int
}

// readPacked reads a header of at most limit bytes and checks all that it says about the file.
func readPacked(r io.ReaderAt, size, limit int64) (*packedFile, error) {
	var length [8]byte
	if size < 8 {
		return nil, badFormat("truncated: %d bytes, want a header: copy the file again", size)
	}
	if err := readFull(r, length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	switch {
	case n > uint64(size-8):
		return nil, badFormat("a header of %d bytes in a file of %d: truncated, or no packed file: copy it again", n, size)
	case n > uint64(limit):
		return nil, badFormat("a header of %d bytes, want at most %d for this model: another model's file, or no packed file: use the config that came with it", n, limit)
	}
	text := make([]byte, n)
	if err := readFull(r, text, 8); err != nil {
		return nil, err
	}
	p := &packedFile{base: 8 + int64(n), byName: map[string]int{}}
	if err := p.parse(text); err != nil {
		return nil, err
	}
	return p, p.check(size)
}

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return badFormat("truncated: it was cut to %d bytes while being read: copy it again", at+int64(n))
	}
	return explain(err)
}

// parse decodes the header's JSON.
func (p *packedFile) parse(text []byte) error {
	bad := func(err error) error {
		return badFormat("its header is not that of a packed file (%.100s): the file is damaged, copy it again", err.Error())
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return bad(err)
	}
	for name, raw := range all {
		if name == metaKey {
			if err := json.Unmarshal(raw, &p.meta); err != nil {
				return bad(err)
			}
			continue
		}
		var v struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			return bad(err)
		}
		p.entries = append(p.entries, packedEntry{name, v.DType, v.Shape, v.Offsets[0], v.Offsets[1]})
	}
	slices.SortFunc(p.entries, func(a, b packedEntry) int {
		switch {
		case a.lo != b.lo:
			return int(max(-1, min(1, a.lo-b.lo)))
		case a.name < b.name:
			return -1
		}
		return 1
	})
	if v := p.meta["version"]; p.meta["format"] != packedFormat || v != packedVersion {
		return badFormat("format %.40q, version %.40q, want %q, version %q: not a file of troupe convert, or of another release: convert the model again", p.meta["format"], v, packedFormat, packedVersion)
	}
	return nil
}

// check demands arrays that fill the file without gap or overlap, and a checksum for each.
func (p *packedFile) check(size int64) error {
	at, arrays := int64(0), 0
	for i, e := range p.entries {
		bytes, err := e.bytes()
		switch {
		case err != nil:
			return badFormat("%.100s: %v: the file is damaged, copy it again", e.name, err)
		case e.lo != at:
			return badFormat("%.100s begins at byte %d of the data, want %d: the file is damaged, copy it again", e.name, e.lo, at)
		case bytes > size-p.base-at:
			return badFormat("truncated: %d bytes, and %.100s alone needs %d from byte %d on: copy the file again", size, e.name, bytes, p.base+at)
		case e.hi-e.lo != bytes:
			return badFormat("%.100s: %d bytes for %s %v, want %d: the file is damaged, copy it again", e.name, e.hi-e.lo, e.dtype, e.shape, bytes)
		}
		at += bytes
		p.byName[e.name] = i
		if !e.padding() {
			arrays++
		}
	}
	if p.base+at != size {
		return badFormat("%d bytes, want %d: trailing bytes: copy the file again", size, p.base+at)
	}
	sums := p.meta[crcKey]
	if len(sums) != arrays*crcDigits {
		return badFormat("%d digits of checksums for %d arrays, want %d: the file is damaged, copy it again", len(sums), arrays, arrays*crcDigits)
	}
	for i := range arrays {
		v, err := strconv.ParseUint(sums[i*crcDigits:(i+1)*crcDigits], 16, 32)
		if err != nil {
			return badFormat("checksum %.20q of array %d is no number: the file is damaged, copy it again", sums[i*crcDigits:(i+1)*crcDigits], i)
		}
		p.sums = append(p.sums, uint32(v))
	}
	return nil
}

// bytes is what dtype and shape ask for.
func (e packedEntry) bytes() (int64, error) {
	if len(e.shape) == 0 || len(e.shape) > 4 {
		return 0, badFormat("%d dimensions, want 1 to 4", len(e.shape))
	}
	for d, name := range packedTypes {
		if name == e.dtype {
			return tensor.Spec{DType: d, Shape: e.shape}.Bytes()
		}
	}
	if e.dtype == "U8" && e.padding() {
		return tensor.Spec{DType: tensor.I8, Shape: e.shape}.Bytes()
	}
	return 0, badFormat("dtype %.20q, want F32, BF16 or I8", e.dtype)
}
