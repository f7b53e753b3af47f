package tokens

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	grokSum = "5c69d7cbad192fa2c9d14e2a77fbfdc11597c68907b043ddb0260e3d28eddd7f"
	demoSum = "7fc9a69573e9251fab7e772f377ca325d56216faebf8f9377ce9475c63d1509a"
)

var (
	loadGrok = sync.OnceValues(func() (*Tokenizer, error) { return load("grok-1.tokenizer.model.gz", grokSum) })
	loadDemo = sync.OnceValues(func() (*Tokenizer, error) { return load("demo.tokenizer.model.gz", demoSum) })
)

// unpack reads a gzipped file of testdata.
func unpack(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func load(name, want string) (*Tokenizer, error) {
	data, err := unpack(name)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
		return nil, fmt.Errorf("%s: sha256 %x, want %s", name, sum, want)
	}
	return New(data)
}

func grok(tb testing.TB) *Tokenizer { return must(loadGrok())(tb) }
func demo(tb testing.TB) *Tokenizer { return must(loadDemo())(tb) }
func small(tb testing.TB) *Tokenizer {
	return must(New(smallModel()))(tb)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// Ids of smallModel: four special ones, user-defined pieces, bytes, normal pieces.
var smallUser = []string{"\n", "\n\n", "  ", "<|sep|>"}

var smallNormal = []string{"\u2581a", "ab", "\u2581", "a", "b", "\u00e9", "\u2581\u2581", "\u2581ab"}

const (
	smallUnk   = 3
	smallByte  = 8
	smallFirst = smallByte + 256 // first normal piece
)

// smallModel has Grok-1's settings and 272 pieces.
func smallModel() []byte {
	var m []byte
	for _, s := range []string{"[PAD]", "[BOS]", "[EOS]"} {
		m = entry{s, 0, Control}.appendTo(m)
	}
	m = entry{"[UNK]", 0, Unknown}.appendTo(m)
	for _, s := range smallUser {
		m = entry{s, 0, UserDefined}.appendTo(m)
	}
	for b := range 256 {
		m = entry{fmt.Sprintf("<0x%02X>", b), 0, Byte}.appendTo(m)
	}
	for i, s := range smallNormal {
		m = entry{s, float32(-i), Normal}.appendTo(m)
	}
	trainer := appendVarint(appendVarint(nil, 3, modelTypeBPE), 35, 1)
	trainer = appendVarint(appendVarint(trainer, 40, 3), 43, 0)
	trainer = appendString(trainer, 44, "[UNK]")
	m = appendMessage(m, 2, trainer)
	return appendMessage(m, 3, appendVarint(appendString(nil, 1, "identity"), 4, 0))
}

func appendString(m []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(m, num, protowire.BytesType), s)
}
