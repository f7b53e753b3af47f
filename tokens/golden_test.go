package tokens

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

type golden struct {
	Text []byte  `json:"text_base64"`
	IDs  []int32 `json:"ids"`
}

var loadGoldens = sync.OnceValues(func() ([]golden, error) {
	data, err := unpack("grok1-encode.jsonl.gz")
	if err != nil {
		return nil, err
	}
	var all []golden
	for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
		var g golden
		if err := d.Decode(&g); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
})

// goldens are the texts and ids of C++ SentencePiece with Grok-1's model.
func goldens(tb testing.TB) []golden {
	all := must(loadGoldens())(tb)
	if len(all) != 2500 {
		tb.Fatalf("%d goldens, want 2500", len(all))
	}
	return all
}

func TestGrokEncode(t *testing.T) {
	tok := grok(t)
	for _, chunk := range []int{chunkBytes, 64, 7, 1} { // cutting a text changes nothing
		for i, g := range goldens(t) {
			if got := tok.encode(string(g.Text), chunk); !slices.Equal(got, g.IDs) {
				t.Errorf("line %d, chunk %d: %q\ngot  %v\nwant %v", i+1, chunk, g.Text, got, g.IDs)
			}
		}
	}
}

// Decoding gives the text back, but for what SentencePiece loses: bad bytes
// become U+FFFD, U+2581 a space.
func TestGrokDecode(t *testing.T) {
	tok := grok(t)
	same := 0
	for i, g := range goldens(t) {
		want := strings.ReplaceAll(string([]rune(string(g.Text))), space, " ")
		got, err := tok.Decode(g.IDs)
		if err != nil || got != want {
			t.Errorf("line %d: Decode = %q, %v\nwant %q", i+1, got, err, want)
		}
		if want == string(g.Text) {
			same++
		}
	}
	if same < 1500 {
		t.Errorf("only %d texts that come back unchanged: not the goldens this test was made for", same)
	}
}

func TestGrokStream(t *testing.T) {
	tok := grok(t)
	for i, g := range goldens(t) {
		checkStream(t, tok, g.IDs)
		if t.Failed() {
			t.Fatalf("line %d", i+1)
		}
	}
}

func TestGrokSpecialIDs(t *testing.T) {
	tok := grok(t)
	if got, want := [...]int32{int32(tok.VocabSize()), tok.PadID(), tok.BOSID(), tok.EOSID(), tok.UnknownID()}, [...]int32{131072, 0, 1, 2, 3}; got != want {
		t.Errorf("vocabulary, pad, bos, eos, unk = %v, want %v", got, want)
	}
	for _, c := range []struct {
		id   int32
		text string
		kind Kind
	}{
		{0, "[PAD]", Control}, {3, "[UNK]", Unknown}, {4, "\n", UserDefined}, {46, strings.Repeat(" ", 16), UserDefined},
		{47, "<|separator|>", UserDefined}, {69, "<0x00>", Byte}, {324, "<0xFF>", Byte}, {325, space + space, Normal},
		{130089, space, Normal}, {131072, "", NoKind}, {-1, "", NoKind},
	} {
		if text, kind := tok.Piece(c.id); text != c.text || kind != c.kind {
			t.Errorf("Piece(%d) = %q %v, want %q %v", c.id, text, kind, c.text, c.kind)
		}
	}
}

// Long texts of many kinds can be cut, so that memory is bounded; cutting
// changes no id.
func TestGrokCuts(t *testing.T) {
	tok := grok(t)
	for _, c := range []struct{ name, text string }{
		{"words", strings.Repeat("the lighthouse keeper said hello ", 2000)},
		{"lines without spaces", strings.Repeat("灯台守は言った\n", 3000)},
		{"digits", strings.Repeat("31415926535", 5000)},
		{"bad bytes", strings.Repeat("a\xffb\xe2\x82", 9000)},
	} {
		for rest := c.text; rest != ""; {
			n := tok.joints.cut(rest, chunkBytes)
			if n > chunkBytes+100 {
				t.Fatalf("%s: a piece of %d bytes, want at most %d", c.name, n, chunkBytes+100)
			}
			rest = rest[n:]
		}
		whole := tok.encode(c.text, len(c.text))
		if got := tok.Encode(c.text); !slices.Equal(got, whole) {
			t.Errorf("%s: cut and whole differ", c.name)
		}
	}
}

func TestConcurrentEncode(t *testing.T) {
	tok, cases := grok(t), goldens(t)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for _, c := range cases[g*100 : g*100+200] { // overlapping
				if got := tok.Encode(string(c.Text)); !slices.Equal(got, c.IDs) {
					t.Errorf("%q: got %v, want %v", c.Text, got, c.IDs)
				}
			}
		})
	}
	all.Wait()
}

// The demonstration model's prompts encode to the recorded ids, and what it
// went on with reads right behind the prompt, up to EOS.
func TestDemo(t *testing.T) {
	tok := demo(t)
	if err := tok.Check(2048); err != nil {
		t.Error(err)
	}
	f := must(os.Open("testdata/demo-greedy.jsonl"))(t)
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var c struct {
			Prompt, Text   string
			Tokens, Greedy []int32
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(c.Prompt); !slices.Equal(got, c.Tokens) {
			t.Errorf("%q: Encode = %v, want %v", c.Prompt, got, c.Tokens)
		}
		if eos := slices.Index(c.Greedy, tok.EOSID()); eos >= 0 {
			c.Greedy = c.Greedy[:eos]
		}
		s := must(tok.NewStreamAfter(c.Tokens))(t)
		if got := streamed(t, s, c.Greedy); got != c.Text {
			t.Errorf("%q continues with %q, want %q", c.Prompt, got, c.Text)
		}
		checkStream(t, tok, append(c.Tokens, c.Greedy...))
	}
	if n != 12 || lines.Err() != nil {
		t.Errorf("%d prompts, %v; want 12", n, lines.Err())
	}
}
