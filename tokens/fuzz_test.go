package tokens

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// Any bytes are a model or an error; a model that is accepted works.
func FuzzNew(f *testing.F) {
	model := smallModel()
	f.Add([]byte{})
	f.Add(model)
	f.Add(model[:len(model)/2])
	f.Add(append(smallModel(), entry{space, 1, UserDefined}.appendTo(nil)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := New(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		ids := tok.Encode("ab <|sep|>\n\n\n  \u00e9\u2581\xff [EOS] 0123")
		checkStream(t, tok, ids)
		checkStream(t, tok, []int32{0, tok.UnknownID(), int32(tok.VocabSize() - 1)})
	})
}

// Any text comes back, but for bad bytes and U+2581; cutting it changes no id.
func FuzzEncodeDecode(f *testing.F) {
	for _, s := range []string{"", "Tale: The Lost Lantern\n\n", "  a\t\t7 [BOS]<|separator|>", "\xff\xe2\x82 \u2581", "é😀 灯台\u00a0\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tok := demo(t)
		ids := tok.Encode(text)
		want := strings.ReplaceAll(string([]rune(text)), space, " ")
		if got, err := tok.Decode(ids); err != nil || got != want {
			t.Errorf("%q decodes to %q, %v", text, got, err)
		}
		for _, chunk := range []int{1, 5} {
			if got := tok.encode(text, chunk); !slices.Equal(got, ids) {
				t.Errorf("%q in chunks of %d: %v, want %v", text, chunk, got, ids)
			}
		}
	})
}

// Any ids stream to what they decode to.
func FuzzStream(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 2, 3, 69, 0, 70, 0})
	f.Add([]byte("\x8b\x01\xe5\x00\xf1\x00\x8b\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok := demo(t)
		var ids []int32
		for ; len(data) >= 2; data = data[2:] {
			ids = append(ids, int32(binary.LittleEndian.Uint16(data))%int32(tok.VocabSize()))
		}
		checkStream(t, tok, ids)
	})
}
