package tokenlog

import (
	"path/filepath"
	"testing"
)

// BenchmarkAdd is the cost of a token in all: taken, written as a line, synced now and then.
func BenchmarkAdd(b *testing.B) {
	l, err := Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Begin(head(), nil, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := l.Add(0, i%maxTokens, token(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
