package mirror

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"unicode"
	"unicode/utf8"

	"troupe/ckpt"
)

// PieceBytes is the size of the pieces that files are cut into, from their first byte on; the last one of a file may
// be smaller.
const PieceBytes = 1 << 20

// MaxManifest bounds an encoded manifest, in bytes; that of Grok-1 has 0.4 MB.
const MaxManifest = 32 << 20

// Bounds of a manifest.
const (
	format     = 1
	maxFiles   = 100_001 // those of the pickles, and config.json
	maxTotal   = 1 << 43 // bytes of all files: 8 TiB
	maxExperts = 1 << 16
	maxLayers  = 1 << 20
	maxName    = 512 // bytes of a tensor's name
)

// Manifest describes a model directory: what a process needs in order to compute with a part of it.
type Manifest struct {
	Format  int      `json:"format"`
	Tensors []Tensor `json:"tensors"`
	Files   []File   `json:"files"`

	identity string
}

// Tensor is a tensor of the model.
type Tensor struct {
	Name  string `json:"name"`
	Layer int    `json:"layer"` // -1 outside the layers
}

// File is a file of the directory.
type File struct {
	Name    string   `json:"name"` // config.json, model.troupe, ckpt-0/tensor00000_000 and so on
	Size    int64    `json:"size"` // bytes
	Sample  string   `json:"sample"`
	Extents []Extent `json:"extents"` // in the order of the file, apart from each other
}

// Extent is a run of bytes of a file: [tensor, expert, offset, bytes]. Tensor is a place in the list, -1 for padding;
// expert is -1 for a tensor without experts. What lies in no extent describes the file and is needed with any part of it.
type Extent [4]int64

// Parse reads an encoded manifest, which may come from anywhere.
func Parse(raw []byte) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("mirror: manifest of %d bytes, want at most %d", len(raw), MaxManifest)
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("mirror: manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("mirror: manifest: more than one value")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("mirror: manifest: %w", err)
	}
	// What is hashed is what was understood: two texts of one manifest are one.
	if _, err := m.encode(); err != nil {
		return nil, err
	}
	return m, nil
}

// Encode is what Parse reads; the same manifest gives the same bytes.
func (m *Manifest) Encode() ([]byte, error) { return m.encode() }

func (m *Manifest) encode() ([]byte, error) {
	raw, err := json.Marshal(struct {
		Format  int      `json:"format"`
		Tensors []Tensor `json:"tensors"`
		Files   []File   `json:"files"`
	}{m.Format, m.Tensors, m.Files})
	if err != nil {
		return nil, fmt.Errorf("mirror: manifest: %w", err)
	}
	sum := sha256.Sum256(raw)
	m.identity = hex.EncodeToString(sum[:16])
	return raw, nil
}

// Identity names the directory by what it is: 32 hexadecimal digits of a SHA-256 over the manifest, and so over names,
// sizes, headers and samples of all arrays. Hosts that each have the files compare it. In a packed file the headers
// have the checksums of all arrays; in pickles two directories that differ in a few values only may have the same.
func (m *Manifest) Identity() string { return m.identity }

// Bytes is the size of all files.
func (m *Manifest) Bytes() (sum int64) {
	for i := range m.Files {
		sum += m.Files[i].Size
	}
	return sum
}

// fileNames are those that a manifest may have.
var fileNames = regexp.MustCompile(`^(config\.json|model\.troupe|ckpt-0/tensor[0-9]{5}_000)$`)

var sampleForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check refuses what no directory can be, so that nothing behind it has to.
func (m *Manifest) check() error {
	switch {
	case m.Format != format:
		return fmt.Errorf("format %d, want %d: run the same release on all hosts", m.Format, format)
	case len(m.Files) == 0 || len(m.Files) > maxFiles:
		return fmt.Errorf("%d files, want 1 to %d", len(m.Files), maxFiles)
	}
	for i, t := range m.Tensors {
		if t.Name == "" || len(t.Name) > maxName || !printable(t.Name) || t.Layer < -1 || t.Layer >= maxLayers {
			return fmt.Errorf("tensor %d: name %.100q, layer %d, want up to %d printable bytes, layer -1 to %d", i, t.Name, t.Layer, maxName, maxLayers-1)
		}
	}
	seen, total := map[string]bool{}, int64(0)
	for _, f := range m.Files {
		switch {
		case !fileNames.MatchString(f.Name):
			return fmt.Errorf("file %.100q, want config.json, %s or ckpt-0/tensor00000_000 and so on", f.Name, ckpt.PackedName)
		case seen[f.Name]:
			return fmt.Errorf("%s: listed twice", f.Name)
		case f.Size < 0 || f.Size > maxTotal-total:
			return fmt.Errorf("%s: %d bytes behind %d of other files, want at most %d in all", f.Name, f.Size, total, int64(maxTotal))
		case !sampleForm.MatchString(f.Sample):
			return fmt.Errorf("%s: sample %.100q, want 64 hexadecimal digits", f.Name, f.Sample)
		}
		seen[f.Name] = true
		total += f.Size
		if err := f.check(len(m.Tensors)); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (f *File) check(tensors int) error {
	end := int64(0)
	for i, x := range f.Extents {
		tensor, expert, offset, n := x[0], x[1], x[2], x[3]
		switch {
		case tensor < -1 || tensor >= int64(tensors) || expert < -1 || expert >= maxExperts:
			return fmt.Errorf("extent %d: tensor %d, expert %d, want a tensor below %d, an expert below %d, or -1", i, tensor, expert, tensors, maxExperts)
		case offset < end || n < 1 || offset > f.Size || n > f.Size-offset:
			return fmt.Errorf("extent %d: %d bytes from byte %d on, want some behind byte %d within %d", i, n, offset, end, f.Size)
		}
		end = offset + n
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
