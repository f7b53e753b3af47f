package tokens

import (
	"slices"
	"strings"
	"testing"
)

func TestEncodeRules(t *testing.T) {
	tok := small(t)
	b := func(text string) (ids []int32) {
		for i := range len(text) {
			ids = append(ids, smallByte+int32(text[i]))
		}
		return ids
	}
	const uA, ab, u, a, bb, e, uu, uab = smallFirst, smallFirst + 1, smallFirst + 2, smallFirst + 3, smallFirst + 4, smallFirst + 5, smallFirst + 6, smallFirst + 7
	for _, c := range []struct {
		text string
		want []int32
	}{
		{"", nil},
		{"a", []int32{uA}},
		{" ", []int32{uu}},
		{"  ", []int32{uu, u}}, // never the piece of two literal spaces
		{"ab", []int32{uab}},   // the better pair first, then what it makes possible
		{"bab", []int32{u, bb, ab}},
		{"\n\n\n", []int32{u, 5, 4}}, // longest user-defined piece first
		{"a<|sep|>a", []int32{uA, 7, a}},
		{"\u00e9", []int32{u, e}},
		{"[BOS]", slices.Concat([]int32{u}, b("[BOS]"))}, // control pieces are no text
		{"<0x41>", slices.Concat([]int32{u}, b("<0x41>"))},
		{"\u2581a", []int32{u, uA}},
		{"\xff\xfe", slices.Concat([]int32{u}, b("\ufffd\ufffd"))}, // one U+FFFD a byte
		{"\xe2\x82a", slices.Concat([]int32{u}, b("\ufffd\ufffd"), []int32{a})},
		{"\x00", slices.Concat([]int32{u}, b("\x00"))},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	var j joints
	for _, s := range []string{space + "ab", "\n\n", "\u00e9\u00e9"} {
		j.add(s)
	}
	for _, c := range []struct {
		text    string
		atLeast int
		want    int
	}{
		{"", 1, 0},
		{"ab", 2, 2},                    // short enough
		{"ab ab ab", 1, 2},              // "ab" holds together, "b " does not
		{"ab ab ab", 3, 5},              // " a" holds together
		{"ab\n\n\nab", 3, 5},            // behind the newlines
		{strings.Repeat("\n", 9), 3, 9}, // nowhere
		{"\u00e9\u00e9a", 1, 4},         // never within a character
		{"a\xff\xff", 1, 1},
	} {
		if got := j.cut(c.text, c.atLeast); got != c.want {
			t.Errorf("cut(%q, %d) = %d, want %d", c.text, c.atLeast, got, c.want)
		}
	}
}
