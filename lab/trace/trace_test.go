package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"troupe/router"
)

var header = Header{Model: "toy", NumLayers: 3, NumExperts: 5, NumSelected: 2, Experts: "2", Arith: "exact", Kernels: "ref"}

// random draws a document whose rows have counts that stay, are the same in all layers, or differ.
func random(rng *rand.Rand, h Header, tokens int) *Doc {
	d := &Doc{ID: fmt.Sprint(rng.IntN(100)), Domain: []string{"", "tales"}[rng.IntN(2)], Experts: "0-1:1", Text: strings.Repeat("é", rng.IntN(4))}
	for range tokens {
		d.Tokens = append(d.Tokens, int32(rng.IntN(1<<17)))
	}
	d.Prompt = rng.IntN(tokens + 1)
	counts := make([]int, h.NumLayers)
	for at := range tokens {
		if rng.IntN(5) == 0 {
			continue // not computed
		}
		for l, same := 0, rng.IntN(3); l < h.NumLayers && same > 0; l++ {
			if counts[l] = 1 + rng.IntN(h.NumExperts); same == 1 {
				counts[l] = counts[0]
			}
		}
		p := router.Path{Start: []int32{0}, Expert: []int32{}, Gate: []float32{}}
		for _, k := range counts {
			for _, e := range rng.Perm(h.NumExperts)[:k] {
				p.Expert = append(p.Expert, int32(e))
				p.Gate = append(p.Gate, float(half(rng.Float32())))
			}
			p.Start = append(p.Start, int32(len(p.Expert)))
		}
		d.Rows = append(d.Rows, router.RowRouting{Position: at, Token: d.Tokens[at], Path: p})
	}
	return d
}

func write(t testing.TB, h Header, docs ...*Doc) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if err := w.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read gives the documents before the first error, and that error unless it is io.EOF.
func read(file []byte) (docs []*Doc, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		d, err := r.Next()
		if d != nil {
			docs = append(docs, d)
		}
		if err == io.EOF {
			return docs, nil
		}
		if err != nil {
			return docs, err
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	large := header
	large.NumExperts = 300
	for _, h := range []Header{header, large} {
		name := filepath.Join(t.TempDir(), "x.trace")
		w, err := Create(name, h)
		if err != nil {
			t.Fatal(err)
		}
		want := []*Doc{{ID: "empty"}}
		for range 20 {
			want = append(want, random(rng, h, 1+rng.IntN(60)))
		}
		want = append(want, random(rng, h, 6000)) // several blocks
		for _, d := range want {
			if err := w.Add(d); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if r.Header != h {
			t.Errorf("header %+v, want %+v", r.Header, h)
		}
		for i, d := range want {
			got, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if d.Tokens == nil {
				d.Tokens = []int32{}
			}
			if !reflect.DeepEqual(got, d) {
				t.Fatalf("document %d differs: got %d rows, want %d", i, len(got.Rows), len(d.Rows))
			}
		}
		for range 2 {
			if d, err := r.Next(); d != nil || err != io.EOF {
				t.Errorf("behind the last document: %v, %v, want io.EOF", d, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A row of the usual kind takes 3 bytes for each expert and no more than 2 besides.
func TestSize(t *testing.T) {
	const layers, rows = 6, 1000
	h := header
	h.NumLayers = layers
	d := &Doc{Tokens: make([]int32, rows)}
	for at := range rows {
		p := router.Path{Start: []int32{0}}
		for l := range layers {
			p.Expert, p.Gate = append(p.Expert, 1, 2), append(p.Gate, .5, .25)
			p.Start = append(p.Start, int32(2*l+2))
		}
		d.Rows = append(d.Rows, router.RowRouting{Position: at, Path: p})
	}
	if n := len(write(t, h, d)); n > rows*(layers*2*3+2+1)+500 { // a byte for the token
		t.Errorf("%d bytes for %d rows", n, rows)
	}
}

// Cut anywhere, a file gives what comes before and says that it was cut; a flipped bit is found.
func TestCutAndDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	want := []*Doc{random(rng, header, 9), random(rng, header, 3500), random(rng, header, 3)}
	file := write(t, header, want...)
	seen := map[int]bool{}
	for _, n := range append([]int{len(magic), len(magic) + 5, len(file) - 1}, ints(rng, 60, len(file))...) {
		docs, err := read(file[:n])
		if err == nil {
			t.Fatalf("cut to %d of %d bytes: no error", n, len(file))
		}
		if n > 400 && !errors.Is(err, ErrCut) {
			t.Fatalf("cut to %d of %d bytes: %v, want ErrCut", n, len(file), err)
		}
		seen[len(docs)] = true
		for i, d := range docs {
			if i < len(docs)-1 && !reflect.DeepEqual(d, want[i]) {
				t.Fatalf("cut to %d of %d bytes: document %d differs", n, len(file), i)
			}
			if m := len(d.Rows); m > len(want[i].Rows) || !reflect.DeepEqual(append([]router.RowRouting{}, d.Rows...), append([]router.RowRouting{}, want[i].Rows[:m]...)) {
				t.Fatalf("cut to %d of %d bytes: rows of document %d differ", n, len(file), i)
			}
		}
	}
	if !seen[2] || !seen[3] {
		t.Errorf("documents read of the cut files: %v, want 2 and 3 among them", seen)
	}
	for _, at := range ints(rng, 80, len(file)) {
		bad := bytes.Clone(file)
		bad[at] ^= 1 << rng.IntN(8)
		if _, err := read(bad); err == nil {
			t.Fatalf("byte %d damaged: no error", at)
		}
	}
	if _, err := read(append(bytes.Clone(file), 0)); err == nil || !strings.Contains(err.Error(), "something follows the end") {
		t.Errorf("a byte too many: %v", err)
	}
}

func ints(rng *rand.Rand, n, below int) (all []int) {
	for range n {
		all = append(all, rng.IntN(below))
	}
	return all
}

func TestWhatCannotBeWritten(t *testing.T) {
	path := router.Path{Start: []int32{0, 1, 1, 1}, Expert: []int32{4}, Gate: []float32{1}}
	row := func(change func(*router.RowRouting)) *Doc {
		r := router.RowRouting{Position: 1, Token: 7, Path: path}
		change(&r)
		return &Doc{Tokens: []int32{5, 7}, Rows: []router.RowRouting{r}}
	}
	for _, c := range []struct {
		doc  *Doc
		want string
	}{
		{row(func(*router.RowRouting) {}), ""},
		{&Doc{Prompt: 1}, "1 of 0 tokens"},
		{&Doc{Tokens: []int32{-1}}, "token 0 is -1"},
		{row(func(r *router.RowRouting) { r.Position = 2 }), "row 0 has token 7 at position 2"},
		{row(func(r *router.RowRouting) { r.Token = 5 }), "row 0 has token 5 at position 1"},
		{row(func(r *router.RowRouting) { r.Path.Start = r.Path.Start[:3] }), "2 layers, 1 experts and 1 gates, want 3 layers"},
		{row(func(r *router.RowRouting) { r.Path.Start = []int32{0, 1, 0, 1} }), "layer 1: -1 experts"},
		{row(func(r *router.RowRouting) { r.Path.Expert = []int32{5} }), "expert 5, want 0 to 4"},
		{&Doc{Text: strings.Repeat("x", maxPayload)}, "leave the text out"},
	} {
		w, err := NewWriter(io.Discard, header)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(c.doc); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if err := w.Add(row(func(*router.RowRouting) {})); err != nil {
			t.Errorf("the document after it: %v", err)
		}
	}
	wide := Header{NumLayers: 70, NumExperts: 1 << 16}
	w, err := NewWriter(io.Discard, wide)
	if err != nil {
		t.Fatal(err)
	}
	all := router.Path{Start: []int32{0}}
	for l := range wide.NumLayers {
		all.Start = append(all.Start, int32(l+1)<<16)
	}
	all.Expert, all.Gate = make([]int32, 70<<16), make([]float32, 70<<16)
	if err := w.Add(&Doc{Tokens: []int32{1}, Rows: []router.RowRouting{{Token: 1, Path: all}}}); err == nil || !strings.Contains(err.Error(), "no block holds it") {
		t.Errorf("a row larger than a block: error %v", err)
	}
	if _, err := NewWriter(io.Discard, Header{NumLayers: 1}); err == nil {
		t.Error("a header without experts: no error")
	}
}

// Rows of a file share what they have in common, so that one of a few bytes a row does not ask for the layers of a large
// model at each of them.
func TestMemoryGrowsWithTheFile(t *testing.T) {
	h := header
	h.NumLayers = maxLayers
	file := write(t, h)
	file = file[:len(file)-blockHead-1] // without the end
	const rows = 4_000
	doc, all := make([]byte, blockHead), make([]byte, blockHead)
	doc = append(doc, 0, 0, 0, 0, 0)
	doc = binary.AppendUvarint(doc, rows)
	doc = append(doc, make([]byte, rows)...)
	doc = binary.AppendUvarint(doc, rows)
	for range rows {
		all = append(all, 0, oneCount, 0) // no experts in any layer, said anew
	}
	putHead(doc, documentBlock)
	putHead(all, rowsBlock)
	file = slices.Concat(file, doc, all)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	docs, err := read(file)
	runtime.ReadMemStats(&after)
	if len(docs) != 1 || len(docs[0].Rows) != rows || !errors.Is(err, ErrCut) {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("a file of %d bytes took %d bytes of memory", len(file), took)
	}
}

// full is a disk with room for so many bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

func TestFullDisk(t *testing.T) {
	w, err := NewWriter(&full{400}, header)
	if err != nil {
		t.Fatal(err)
	}
	d := random(rand.New(rand.NewPCG(3, 3)), header, 100)
	for range 2 {
		if err := w.Add(d); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("error %v, want that of the disk", err)
		}
	}
	if err := w.Close(); err == nil {
		t.Error("Close says nothing of it")
	}
}

func TestOtherFiles(t *testing.T) {
	for file, want := range map[string]string{
		"":                      "it is not a file of routing",
		"PK\x03\x04 and so on…": "it is not a file of routing",
		"troupe routing 2\nxyz": "version \"2\\n\"",
		magic:                   "cut",
		magic + "h\xff\xff\xff\x7f\x00\x00\x00\x00": "want at most 16777216",
	} {
		if _, err := read([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", file, err, want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "gone")); err == nil {
		t.Error("a file that is not there: no error")
	}
}

// Every binary16 comes back as it is, and every gate is off by 2^-11 of itself at most, or by half a step of 2^-24.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		f := float(uint16(h))
		if f != f {
			if back := float(half(f)); back == back {
				t.Errorf("%04x: NaN becomes %v", h, back)
			}
			continue
		}
		if got := half(f); got != uint16(h) {
			t.Errorf("%04x is %v, and comes back as %04x", h, f, got)
		}
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for range 100_000 {
		f := float32(math.Exp2(-30 * rng.Float64()))
		if off := math.Abs(float64(float(half(f)) - f)); off > max(float64(f)/(1<<11), 1./(1<<25)) {
			t.Fatalf("%v is off by %v", f, off)
		}
	}
	for f, want := range map[float32]float32{65519: 65504, 65520: float32(math.Inf(1)), -1: -1, 1 + 1./1024 + 1./2048: 1 + 2./1024, 1 + 1./2048: 1} {
		if got := float(half(f)); got != want {
			t.Errorf("%v becomes %v, want %v", f, got, want)
		}
	}
}

// Whatever the bytes, the reader ends with an error or with documents that can be written again as they are.
func FuzzRead(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 5))
	file := write(f, header, random(rng, header, 4), random(rng, header, 2))
	f.Add(file[len(magic):])
	f.Add(file[len(magic) : len(file)-30])
	f.Fuzz(func(t *testing.T, blocks []byte) {
		file := mend(append([]byte(magic), blocks...))
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w, err := NewWriter(&again, r.Header)
		if err != nil {
			t.Fatalf("header %+v can be read, and not be written: %v", r.Header, err)
		}
		var docs []*Doc
		for {
			d, err := r.Next()
			if d != nil {
				docs = append(docs, d)
				if err := w.Add(d); err != nil {
					t.Fatalf("%+v can be read, and not be written: %v", d, err)
				}
			}
			if err != nil {
				break
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		back, err := read(again.Bytes())
		if err != nil || len(back) != len(docs) {
			t.Fatalf("%d documents, %v, want %d", len(back), err, len(docs))
		}
	})
}

// mend gives every block its checksum, so that the fuzzer gets behind it.
func mend(file []byte) []byte {
	for at := len(magic); at+blockHead <= len(file); {
		n := int(file[at+1]) | int(file[at+2])<<8 | int(file[at+3])<<16 | int(file[at+4])<<24
		if n > len(file)-at-blockHead {
			break
		}
		putHead(file[at:at+blockHead+n], file[at])
		at += blockHead + n
	}
	return file
}
