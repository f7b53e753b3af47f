package ckpt

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// header replaces a piece of a packed file's header, which keeps its length.
func header(t testing.TB, b []byte, old, new string) []byte {
	t.Helper()
	n := 8 + binary.LittleEndian.Uint64(b)
	text := string(b[8:n])
	place := regexp.MustCompile(old).FindStringIndex(text)
	if place == nil {
		t.Fatalf("the header has no %q", old)
	}
	end := strings.TrimRight(text[:place[0]]+new+text[place[1]:], " ")
	if grown := len(end) - len(text); grown > 0 {
		t.Fatalf("%q is longer than the padding by %d", new, grown)
	}
	return append(append(append([]byte{}, b[:8]...), end+strings.Repeat(" ", len(text)-len(end))...), b[n:]...)
}

const oneLayer = "transformer/decoder_layer_0/"

// damagedPacked are changes of the golden packed file, and what the error says.
func damagedPacked(t testing.TB) map[string]struct {
	edit func(b []byte) []byte
	says string
} {
	h := func(old, new string) func(b []byte) []byte {
		return func(b []byte) []byte { return header(t, b, old, new) }
	}
	length := func(n uint64) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b, n); return b }
	}
	return map[string]struct {
		edit func(b []byte) []byte
		says string
	}{
		"empty":               {func([]byte) []byte { return nil }, "truncated: 0 bytes"},
		"a pickle":            {func([]byte) []byte { return []byte("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.") }, "no packed file"},
		"a download pointer":  {func([]byte) []byte { return []byte("version https://git-lfs.github.com/spec/v1\n") }, "no packed file"},
		"cut in its header":   {func(b []byte) []byte { return b[:3000] }, "truncated"},
		"cut in its data":     {func(b []byte) []byte { return b[:len(b)-1] }, "truncated"},
		"cut by half":         {func(b []byte) []byte { return b[:len(b)/2] }, "truncated"},
		"trailing bytes":      {func(b []byte) []byte { return append(b, 0) }, "trailing bytes"},
		"no header":           {length(0), "not that of a packed file"},
		"endless header":      {length(1 << 63), "a header of 9223372036854775808 bytes in a file of"},
		"header too long":     {func(b []byte) []byte { return append(length(4<<20)(b), make([]byte, 8<<20)...) }, "want at most"},
		"no JSON":             {h(`^{`, "["), "not that of a packed file"},
		"an unknown field":    {h(`"dtype":"F32"`, `"dtipe":"F32"`), "not that of a packed file"},
		"a string for a size": {h(`"shape":\[32\]`, `"shape":["32"]`), "not that of a packed file"},
		"a fraction":          {h(`"shape":\[32\]`, `"shape":[1.5]`), "not that of a packed file"},
		"metadata of numbers": {h(`"version":"1"`, `"version":1`), "not that of a packed file"},
		"another version":     {h(`"version":"1"`, `"version":"2"`), `version "2", want "troupe packed", version "1"`},
		"another format":      {h(`"format":"troupe packed"`, `"format":"pt"`), `format "pt"`},
		"no metadata":         {h(`"__metadata__"`, `"__padding.99"`), "not that of a packed file"},
		"few checksums":       {h(`"crc32c":"..`, `"crc32c":"`), "digits of checksums"},
		"a checksum of words": {h(`"crc32c":"..`, `"crc32c":"xy`), "is no number"},
		"unknown dtype":       {h(`"dtype":"BF16"`, `"dtype":"F16"`), `dtype "F16", want F32, BF16 or I8`},
		"raw bytes":           {h(`"dtype":"BF16"`, `"dtype":"U8"`), `dtype "U8"`},
		"no dimension":        {h(`"shape":\[32\]`, `"shape":[]`), "0 dimensions"},
		"many dimensions":     {h(`"shape":\[32\]`, `"shape":[1,1,1,1,32]`), "5 dimensions"},
		"negative dimension":  {h(`"shape":\[32\]`, `"shape":[-32]`), "negative dimension"},
		"too many elements":   {h(`"shape":\[32\]`, `"shape":[4294967296,4294967296,4294967296]`), "too many elements"},
		"a size that lies":    {h(`"shape":\[32\]`, `"shape":[31]`), "128 bytes for F32 [31], want 124"},
		"a larger array":      {h(`"shape":\[32\]`, `"shape":[1000000000]`), "alone needs 4000000000"},
		"an overlap":          {h(`"data_offsets":\[16384,`, `"data_offsets":[16380,`), "begins at byte 16380 of the data, want 16384"},
		"a hole":              {h(`"data_offsets":\[16384,`, `"data_offsets":[16388,`), "begins at byte 16388 of the data, want 16384"},
		"a negative offset":   {h(`"data_offsets":\[0,`, `"data_offsets":[-4,`), "begins at byte -4"},
		"a tensor is missing": {h(`"`+oneLayer+`router/w"`, `"`+oneLayer+`rooter/w"`), "no array " + oneLayer + "router/w"},
		"an expert is missing": {h(`moe/linear_v/w\.panels\.7"`, `moe/linear_v/w.panels.8"`),
			"no array " + oneLayer + "moe/linear_v/w.panels.7"},
		"a tensor too many": {h(`"__padding\.1"`, `"__podding.1"`), "dtype \"U8\""},
		"another tensor":    {h(`"__padding\.0":{"dtype":"U8","shape":\[(\d+)\]`, `"more":{"dtype":"I8","shape":[1152]`), "336 digits of checksums for 43 arrays"},
		"another shape":     {h(`"shape":\[32,8\]`, `"shape":[8,32]`), "shape [8 32], want [32 8]"},
		"scales of a row more": {h(`\.scales":{"dtype":"BF16","shape":\[8,1,176\]`, `.scales":{"dtype":"BF16","shape":[8,2,88]`),
			"has shape [11 8 16 4], want [6 8 16 4]"},
		"scales of no group":  {h(`"shape":\[8,1,176\]`, `"shape":[8,176,1]`), "groups a divisor of in"},
		"scales of no expert": {h(`"shape":\[8,1,176\]`, `"shape":[1408]`), "want [groups out] for [in out]"},
		"panels turned":       {h(`"shape":\[11,8,16,4\]`, `"shape":[8,11,16,4]`), "has shape [8 11 16 4], want [11 8 16 4]"},
		"panels of floats":    {h(`"dtype":"I8","shape":\[11,8,16,4\]`, `"dtype":"F32","shape":[11,2,16,4]`), "want I8 at a multiple of 4096"},
	}
}

// TestDamagedPacked refuses every damaged file with a reason, and takes no memory for what it claims.
func TestDamagedPacked(t *testing.T) {
	dir := packGolden(t)
	path := filepath.Join(dir, PackedName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range damagedPacked(t) {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, d.edit(bytes.Clone(good)), 0o644); err != nil {
				t.Fatal(err)
			}
			var c *Checkpoint
			var err error
			taken := allocated(func() { c, err = Open(t.Context(), os.DirFS(dir), goldenWants(), Options{}) })
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			wantError(t, err, PackedName, d.says)
			if taken > 2<<20 {
				t.Errorf("took %d bytes of memory", taken)
			}
			if _, err := Verify(t.Context(), os.DirFS(dir), goldenWants(), Options{}); err == nil {
				t.Error("verified")
			}
		})
	}
}

// TestDamagedPackedValues: values are checked as those of pickles are.
func TestDamagedPackedValues(t *testing.T) {
	dir := packGolden(t)
	path := filepath.Join(dir, PackedName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	headers, err := ScanPacked(os.DirFS(dir), goldenWants())
	if err != nil {
		t.Fatal(err)
	}
	_, err = ScanPacked(os.DirFS(dir), goldenWants()[:13])
	if e := wantError(t, err, PackedName, "an array that the configuration has not"); e.Tensor != oneLayer+"router/w" {
		t.Errorf("blames %s", e.Tensor)
	}
	down, norm := headers[3], headers[1]
	for _, c := range []struct {
		name string
		at   int64
		to   []byte
		says string // "": accepted
	}{
		{"not finite", norm.Offset + 8, []byte{0, 0, 0xc0, 0x7f}, "value 2 is NaN"},
		{"negative", down.ScalesOffset + 2*(32+3), []byte{0x80, 0xbf}, "scale [1 0 3] is -1"},
		{"zero", down.ScalesOffset + 2*(32+3), []byte{0, 0}, "scale [1 0 3] is 0, but weight [1 "},
		{"one", down.ScalesOffset + 2*(32+3), []byte{0x80, 0x3f}, ""},
	} {
		b := bytes.Clone(good)
		copy(b[c.at:], c.to)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		ck, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
		if c.says != "" {
			wantError(t, err, PackedName, c.says)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			ck.Close()
		}
	}
}

// FuzzPacked: whatever a file says, it is refused, or all that it is said to hold lies within it.
func FuzzPacked(f *testing.F) {
	good, err := os.ReadFile(filepath.Join(packGolden(f), PackedName))
	if err != nil {
		f.Fatal(err)
	}
	size := int64(len(good))
	n := 8 + binary.LittleEndian.Uint64(good)
	f.Add(good[:n])
	for _, d := range damagedPacked(f) {
		b := d.edit(bytes.Clone(good))
		f.Add(b[:min(uint64(len(b)), n)])
	}
	f.Fuzz(func(t *testing.T, b []byte) { // the header; the data is what the golden file has
		file := make([]byte, max(size, int64(len(b))))
		copy(file, b)
		in := &input{ReaderAt: bytes.NewReader(file), size: int64(len(file))}
		p, found, err := findPacked(in, goldenWants())
		if err != nil {
			if len(err.Error()) > 2000 || strings.Contains(err.Error(), "\n") {
				t.Errorf("error of %d bytes: %q", len(err.Error()), err)
			}
			return
		}
		for i, x := range found {
			for _, e := range append(x.panels, x.data) {
				lo, hi := p.base+p.entries[e].lo, p.base+p.entries[e].hi
				if lo < 8 || hi < lo || hi > in.size {
					t.Errorf("%s: bytes %d to %d of %d", goldenWants()[i].Name, lo, hi, in.size)
				}
			}
			if err := compare(x.Header, goldenWants()[i]); err != nil {
				t.Error(err)
			}
		}
	})
}
