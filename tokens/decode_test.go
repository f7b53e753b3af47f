package tokens

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// wholeDecode is a second, slow reading of Decode's rules, on all ids at once.
func wholeDecode(t *Tokenizer, ids []int32) string {
	text, dropped := "", false
	for i := 0; i < len(ids); i++ {
		spelled, kind := t.Piece(ids[i])
		switch kind {
		case Control:
		case Byte:
			var run []byte
			for ; i < len(ids) && t.pieces[ids[i]].kind == Byte; i++ {
				run = append(run, t.pieces[ids[i]].b)
			}
			i--
			text += string([]rune(string(run)))
		case Unknown:
			text += t.pieces[ids[i]].surface
		default:
			if text == "" && !dropped && strings.HasPrefix(spelled, space) {
				spelled, dropped = spelled[len(space):], true
			}
			text += strings.ReplaceAll(spelled, space, " ")
		}
	}
	return text
}

// streamed is everything a stream gives for the ids, which must be valid UTF-8
// at each step.
func streamed(tb testing.TB, s *Stream, ids []int32) string {
	tb.Helper()
	var all strings.Builder
	for i, id := range ids {
		part, err := s.Next(id)
		if err != nil || !utf8.ValidString(part) {
			tb.Errorf("Next(%d) at %d = %q, %v", id, i, part, err)
		}
		all.WriteString(part)
	}
	all.WriteString(s.Flush())
	return all.String()
}

// checkStream compares stream, Decode and the slow reading, and continuations
// at some places.
func checkStream(tb testing.TB, t *Tokenizer, ids []int32) {
	tb.Helper()
	want := wholeDecode(t, ids)
	if got, err := t.Decode(ids); err != nil || got != want {
		tb.Errorf("%v: Decode = %q, %v, want %q", ids, got, err, want)
	}
	if got := streamed(tb, t.NewStream(), ids); got != want {
		tb.Errorf("%v: streamed %q, want %q", ids, got, want)
	}
	for n := 0; n <= len(ids); n += 1 + len(ids)/5 {
		before := t.NewStream()
		var head strings.Builder
		for _, id := range ids[:n] {
			head.WriteString(must(before.Next(id))(tb))
		}
		after := must(t.NewStreamAfter(ids[:n]))(tb)
		if got := head.String() + streamed(tb, after, ids[n:]); got != want {
			tb.Errorf("%v, continued at %d: %q, want %q", ids, n, got, want)
		}
	}
}

func TestDecodeRules(t *testing.T) {
	tok := small(t)
	b := func(x byte) int32 { return smallByte + int32(x) }
	const uA, ab, u, a = smallFirst, smallFirst + 1, smallFirst + 2, smallFirst + 3
	const uu = smallFirst + 6
	for _, c := range []struct {
		name string
		ids  []int32
		want string
	}{
		{"nothing", nil, ""},
		{"leading space dropped", []int32{uA, uA}, "a a"},
		{"only the first", []int32{u, uA}, " a"},
		{"one of two", []int32{uu, a}, " a"},
		{"behind control pieces", []int32{1, 0, uA}, "a"},
		{"not behind text", []int32{ab, uA}, "ab a"},
		{"not behind a newline", []int32{4, uA}, "\n a"},
		{"not from a byte piece", []int32{b(' '), a}, " a"},
		{"not from literal spaces", []int32{6, a}, "  a"},
		{"not behind the unknown piece", []int32{smallUnk, uA}, "[UNK] a"},
		{"character of three bytes", []int32{b(0xe2), b(0x82), b(0xac)}, "€"},
		{"U+2581 in bytes stays", []int32{b(0xe2), b(0x96), b(0x81)}, "\u2581"},
		{"cut character, byte by byte", []int32{b(0xe2), b(0x82), a}, "\ufffd\ufffda"},
		{"cut character at the end", []int32{a, b(0xf0), b(0x9f), b(0x98)}, "a\ufffd\ufffd\ufffd"},
		{"overlong", []int32{b(0xc0), b(0xaf)}, "\ufffd\ufffd"},
		{"control piece ends a run", []int32{b(0xe2), b(0x82), 2, b(0xac)}, "\ufffd\ufffd\ufffd"},
		{"bad bytes are text", []int32{b(0xff), uA}, "\ufffd a"},
		{"user-defined", []int32{7, uA}, "<|sep|> a"},
	} {
		if got, err := tok.Decode(c.ids); err != nil || got != c.want {
			t.Errorf("%s: Decode = %q, %v, want %q", c.name, got, err, c.want)
		}
		checkStream(t, tok, c.ids)
	}
}

func TestStreamTiming(t *testing.T) {
	tok := small(t)
	b := func(x byte) int32 { return smallByte + int32(x) }
	s := tok.NewStream()
	for i, c := range []struct {
		id   int32
		want string
	}{
		{smallFirst, "a"}, {smallFirst, " a"}, {b(0xf0), ""}, {b(0x9f), ""}, {b(0x98), ""}, {b(0x80), "😀"},
		{b(0xc3), ""}, {2, "\ufffd"}, {b(0xe2), ""}, {b('x'), "\ufffdx"},
	} {
		if got, err := s.Next(c.id); got != c.want || err != nil {
			t.Errorf("step %d: %q, %v, want %q", i, got, err, c.want)
		}
	}
	if got := s.Flush(); got != "" {
		t.Errorf("Flush = %q, want nothing", got)
	}
}

func TestContinuation(t *testing.T) {
	tok := small(t)
	for _, c := range []struct {
		name   string
		prompt []int32
		want   string
	}{
		{"no prompt", nil, "ab"},
		{"only BOS", []int32{1}, "ab"},
		{"text", []int32{smallFirst}, " ab"},
		{"newline", []int32{4}, " ab"},
		{"a dropped space", []int32{smallFirst + 2}, " ab"},
		{"half a character", []int32{smallByte + 0xc3}, "\ufffd ab"},
	} {
		s := must(tok.NewStreamAfter(c.prompt))(t)
		if got := streamed(t, s, []int32{smallFirst + 7}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNoSuchID(t *testing.T) {
	tok := small(t)
	for _, bad := range []int32{-1, 272, 1 << 30, -1 << 31} {
		ids := []int32{5, 5, bad}
		_, decode := tok.Decode(ids)
		_, after := tok.NewStreamAfter(ids)
		s := must(tok.NewStreamAfter([]int32{smallByte + 0xc3, 5}))(t)
		_, next := s.Next(bad)
		want := tok.noSuchID(2, bad).Error()
		for _, err := range []error{decode, after, next} {
			if err == nil || err.Error() != want {
				t.Errorf("id %d: %v, want %s", bad, err, want)
			}
		}
		if got, err := s.Next(smallFirst); got != " a" || err != nil {
			t.Errorf("after the error: %q, %v: the stream changed", got, err)
		}
	}
	if got, want := tok.noSuchID(2, 272).Error(), "tokens: id 272 at index 2, want 0 to 271: "+mend; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRandomStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for name, tok := range map[string]*Tokenizer{"grok-1": grok(t), "demo": demo(t), "small": small(t)} {
		var low = min(330, tok.VocabSize()) // special, user-defined and byte pieces
		for range 3000 {
			ids := make([]int32, rng.IntN(24))
			for i := range ids {
				ids[i] = int32(rng.IntN([]int{tok.VocabSize(), low, low}[rng.IntN(3)]))
			}
			checkStream(t, tok, ids)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Every piece alone, and behind another one.
func TestEveryPiece(t *testing.T) {
	tok := grok(t)
	for id := range int32(tok.VocabSize()) {
		for _, ids := range [][]int32{{id}, {325, id}, {id, id}} {
			if got, err := tok.Decode(ids); err != nil || got != wholeDecode(tok, ids) {
				t.Fatalf("%v: %q, %v", ids, got, err)
			}
		}
	}
}
