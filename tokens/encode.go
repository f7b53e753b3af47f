package tokens

import "unicode/utf8"

// chunkBytes is how much text go-sentencepiece gets at once, if the text can
// be cut there. It needs some 100 bytes of memory per byte of text, and its
// queue outgrows the caches: a 1 MB text takes 1.6 times as long in one piece
// (measured; 1.2 times as long in chunks of 16 KiB).
const chunkBytes = 4 << 10

// Encode gives the ids of a text, without BOS and EOS; none for "". Its
// working memory is bounded and its time O(n) for texts that can be cut (see
// joints); otherwise, as in 1 MB of "aaaa", memory is O(n) and time O(n log n).
func (t *Tokenizer) Encode(text string) []int32 { return t.encode(text, chunkBytes) }

func (t *Tokenizer) encode(text string, chunk int) []int32 {
	if text == "" {
		return nil
	}
	ids := make([]int32, 0, len(text)/3+1) // English and code: 3 to 5 bytes an id
	for prefix := " "; text != ""; prefix = "" {
		n := t.joints.cut(text, chunk)
		for _, token := range t.bpe.Encode(prefix + toUTF8(text[:n])) {
			ids = append(ids, int32(token.ID))
		}
		text = text[n:]
	}
	return ids
}

// toUTF8 puts one U+FFFD in place of each byte that is not UTF-8, as
// SentencePiece does. (strings.ToValidUTF8 puts one for a run of them.)
func toUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

// joints is the set of character pairs that stand side by side inside some
// piece. Where a text has a pair outside the set, neither a merge nor a
// user-defined piece can reach across: both sides encode on their own to the
// ids they have in the whole. In Grok-1's vocabulary each start of a word, a
// line or a number is such a place.
//
// Pairs are hashed into a bit set: a collision hides a place, never invents one.
type joints [1 << jointBits / 64]uint64

const jointBits = 20 // 128 KiB

// joint is the bit of a pair: multiplicative hashing, Knuth vol. 3, 6.4.
func joint(a, b rune) uint64 {
	return (uint64(a)<<21 | uint64(b)) * 0x9E3779B97F4A7C15 >> (64 - jointBits)
}

func (j *joints) add(text string) {
	before := rune(-1)
	for _, r := range text {
		if before >= 0 {
			h := joint(before, r)
			j[h/64] |= 1 << (h % 64)
		}
		before = r
	}
}

func (j *joints) has(a, b rune) bool {
	h := joint(a, b)
	return j[h/64]>>(h%64)&1 == 1
}

// cut is the first place of at least atLeast bytes where the text may be cut,
// len(text) if there is none.
func (j *joints) cut(text string, atLeast int) int {
	if len(text) <= atLeast {
		return len(text)
	}
	before := rune(-1)
	for i, r := range text { // a byte that is not UTF-8 counts as U+FFFD here too
		if r == ' ' {
			r = '\u2581'
		}
		if i >= atLeast && !j.has(before, r) {
			return i
		}
		before = r
	}
	return len(text)
}
