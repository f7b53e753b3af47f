package mirror

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostileManifest: each is refused with a reason, before anything is written.
func TestHostileManifest(t *testing.T) {
	s := newSample(t, 30)
	good, err := s.man.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Parse(good); err != nil || m.Identity() != s.man.Identity() || m.Bytes() != s.man.Bytes() {
		t.Fatalf("the manifest itself: %v", err)
	}
	change := func(do func(m *Manifest)) []byte {
		var m Manifest
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		do(&m)
		raw, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		raw  []byte
		says string
	}{
		"nothing":         {nil, "EOF"},
		"no JSON":         {[]byte("troupe"), "invalid character"},
		"two values":      {append(good[:len(good):len(good)], " {}"...), "more than one value"},
		"unknown field":   {[]byte(`{"format":1,"shell":"x"}`), "unknown field"},
		"long":            {make([]byte, MaxManifest+1), "want at most"},
		"format":          {change(func(m *Manifest) { m.Format = 2 }), "run the same release"},
		"no files":        {change(func(m *Manifest) { m.Files = nil }), "0 files"},
		"up":              {change(func(m *Manifest) { m.Files[1].Name = "../tensor00000_000" }), "want config.json"},
		"up inside":       {change(func(m *Manifest) { m.Files[1].Name = "ckpt-0/../../tensor00000_000" }), "want config.json"},
		"absolute":        {change(func(m *Manifest) { m.Files[1].Name = "/etc/passwd" }), "want config.json"},
		"line":            {change(func(m *Manifest) { m.Files[1].Name = "config.json\n" }), "want config.json"},
		"journal":         {change(func(m *Manifest) { m.Files[1].Name = journalName }), "want config.json"},
		"twice":           {change(func(m *Manifest) { m.Files[2].Name = m.Files[1].Name }), "listed twice"},
		"negative":        {change(func(m *Manifest) { m.Files[1].Size = -1 }), "-1 bytes"},
		"huge":            {change(func(m *Manifest) { m.Files[1].Size = 1 << 62 }), "want at most"},
		"huge together":   {change(func(m *Manifest) { m.Files[1].Size, m.Files[2].Size = maxTotal-100, maxTotal-100 }), "in all"},
		"sample":          {change(func(m *Manifest) { m.Files[1].Sample = "0" }), "want 64 hexadecimal digits"},
		"name of a line":  {change(func(m *Manifest) { m.Tensors[1].Name = "a\nb" }), "printable"},
		"no name":         {change(func(m *Manifest) { m.Tensors[1].Name = "" }), "printable"},
		"long name":       {change(func(m *Manifest) { m.Tensors[1].Name = strings.Repeat("x", maxName+1) }), "printable"},
		"layer":           {change(func(m *Manifest) { m.Tensors[1].Layer = -2 }), "layer -2"},
		"tensor":          {change(func(m *Manifest) { m.Files[1].Extents[0][0] = 3 }), "a tensor below 3"},
		"negative tensor": {change(func(m *Manifest) { m.Files[1].Extents[0][0] = -2 }), "a tensor below 3"},
		"expert":          {change(func(m *Manifest) { m.Files[2].Extents[0][1] = maxExperts }), "an expert below"},
		"overlap":         {change(func(m *Manifest) { m.Files[2].Extents[1][2]-- }), "want some behind byte"},
		"order":           {change(func(m *Manifest) { x := m.Files[2].Extents; x[0], x[1] = x[1], x[0] }), "want some behind byte"},
		"empty extent":    {change(func(m *Manifest) { m.Files[2].Extents[1][3] = 0 }), "extent 1: 0 bytes"},
		"negative extent": {change(func(m *Manifest) { m.Files[2].Extents[1][3] = -5 }), "extent 1: -5 bytes"},
		"outside":         {change(func(m *Manifest) { m.Files[2].Extents[3][3] += 1000 }), "extent 3"},
		"overflow":        {change(func(m *Manifest) { m.Files[2].Extents[3][3] = 1<<63 - 1 }), "extent 3"},
		"far outside":     {change(func(m *Manifest) { m.Files[2].Extents[3][2] = 1<<63 - 1 }), "extent 3"},
	} {
		if _, err := Parse(c.raw); err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line that says %q", name, err, c.says)
		}
	}
}

// TestHugeManifest: a directory of 8 TiB without extents is more than there is room for, which is found without
// memory or disk for it.
func TestHugeManifest(t *testing.T) {
	m := &Manifest{Format: format, Files: []File{{Name: "model.troupe", Size: maxTotal, Sample: strings.Repeat("0", 64)}}}
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = Parse(raw); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := mustOpen(t, Options{Dir: dir, Limit: 1 << 30}, m)
	if err := v.Fetch(t.Context(), short{}, everything, 4, nil); err == nil || !strings.Contains(err.Error(), "needs 8796093022208 bytes") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(filepath.Join(v.dir, "00000")); err == nil {
		t.Error("a file was made for it")
	}
}

// FuzzManifest: no manifest panics, and what is accepted is laid out within its files and can be opened.
func FuzzManifest(f *testing.F) {
	s := newSample(f, 31)
	good, err := s.man.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"tensors":[{"name":"a","layer":-1}],"files":[{"name":"config.json","size":0,"sample":"` + strings.Repeat("0", 64) + `","extents":[]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := Parse(again); err != nil || same.Identity() != m.Identity() {
			t.Fatalf("encoded and parsed again: %v", err)
		}
		if m.PartBytes(everything) > m.Bytes() {
			t.Fatalf("a part of %d bytes of %d", m.PartBytes(everything), m.Bytes())
		}
		v := mustOpen(t, Options{Dir: t.TempDir(), Limit: 1}, m)
		_ = v.Fetch(t.Context(), short{}, everything, 2, nil)
		for _, file := range m.Files {
			if h, err := v.Open(file.Name); err == nil && file.Size > 0 && h.(*sparse).Present(0, file.Size) == nil {
				t.Fatalf("%s is there, though nothing was fetched", file.Name)
			}
		}
	})
}

// FuzzJournal: no journal panics, and what it says is about pieces of the manifest.
func FuzzJournal(f *testing.F) {
	s := newSample(f, 32)
	one := record{file: 2, piece: 5, here: true, sum: s.sumOf(2, 5)}.append([]byte(journalHead))
	f.Add(one)
	f.Add(record{file: 2, piece: 5}.append(one))
	f.Add(record{file: 2, piece: 6, here: true}.append(one))
	f.Add(one[:30])
	path := filepath.Join(f.TempDir(), "pieces")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		end, err := s.man.readJournal(path, func(r record) {
			if r.file >= len(s.man.Files) || r.piece >= s.man.Files[r.file].numPieces() {
				t.Errorf("%+v", r)
			}
		})
		if err != nil || end > int64(len(raw)) {
			t.Errorf("%d of %d: %v", end, len(raw), err)
		}
	})
}
