package sample

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stops  []string
		pieces []string
		want   []string // emitted after each piece, until the hit
		hit    bool
		rest   string // held in the end
	}{
		{"no stops", nil, []string{"a", "b"}, []string{"a", "b"}, false, ""},
		{"in one piece", []string{"END"}, []string{"text END more"}, []string{"text "}, true, ""},
		{"across pieces", []string{"END"}, []string{"text E", "N", "D more"}, []string{"text ", "", ""}, true, ""},
		{"begun, not completed", []string{"END"}, []string{"text E", "N", "TER"}, []string{"text ", "", "ENTER"}, false, ""},
		{"begun at the end", []string{"END"}, []string{"text EN"}, []string{"text "}, false, "EN"},
		{"begun anew inside", []string{"aab"}, []string{"a", "a", "a", "b"}, []string{"", "", "a", ""}, true, ""},
		{"several", []string{"stop", "\n\n"}, []string{"one\n", "two\n", "\nthree"}, []string{"one", "\ntwo", ""}, true, ""},
		{"the first to be complete ends the text", []string{"abcd", "bc"}, []string{"abcd"}, []string{"a"}, true, ""},
		{"of several that end together the longest", []string{"d", "cd"}, []string{"abcd"}, []string{"ab"}, true, ""},
		{"a stop inside another that fails", []string{"abcx", "bc"}, []string{"ab", "c"}, []string{"", "a"}, true, ""},
		{"at the very start", []string{"x"}, []string{"x"}, []string{""}, true, ""},
		{"one character", []string{"。"}, []string{"好", "。", "x"}, []string{"好", ""}, true, ""},
		{"half a character alike", []string{"é"}, []string{"è", "ê"}, []string{"è", "ê"}, false, ""},
		{"the same twice", []string{"ab", "ab"}, []string{"a", "b"}, []string{"", ""}, true, ""},
		{"empty pieces", []string{"ab"}, []string{"", "a", "", "b"}, []string{"", "", "", ""}, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewStop(tt.stops)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			hit := false
			for _, piece := range tt.pieces {
				var emit string
				emit, hit = s.Push(piece)
				got = append(got, emit)
				if hit {
					break
				}
			}
			if !slices.Equal(got, tt.want) || hit != tt.hit {
				t.Errorf("emitted %q, stopped %v, want %q, %v", got, hit, tt.want, tt.hit)
			}
			if emit, again := s.Push(""); emit != "" || again != hit {
				t.Errorf("then %q, %v", emit, again)
			}
			if rest := s.Flush(); rest != tt.rest {
				t.Errorf("held %q, want %q", rest, tt.rest)
			}
		})
	}
}

func TestStopSwallowsAfterAHit(t *testing.T) {
	s, err := NewStop([]string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	s.Push("ax")
	if emit, hit := s.Push("b"); emit != "" || !hit || s.Flush() != "" {
		t.Errorf("emitted %q, stopped %v", emit, hit)
	}
}

func TestStopRefuses(t *testing.T) {
	for _, tt := range []struct {
		stops []string
		want  string
	}{
		{[]string{"a", ""}, "stop string 1 is empty"},
		{[]string{"\xff"}, "not valid UTF-8"},
		{[]string{strings.Repeat("a", StopBytesMax+1)}, "1025 bytes, want at most 1024"},
		{make([]string, StopsMax+1), "65 stop strings, want at most 64"},
	} {
		if _, err := NewStop(tt.stops); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

// slowStop is the text before the first stop string to be complete, found by trying every end.
func slowStop(text string, stops []string) (string, bool) {
	for end := range len(text) + 1 {
		longest := 0
		for _, stop := range stops {
			if strings.HasSuffix(text[:end], stop) {
				longest = max(longest, len(stop))
			}
		}
		if longest > 0 {
			return text[:end-longest], true
		}
	}
	return text, false
}

// checkStop pushes text in pieces cut by next and compares with slowStop. Text held in the end must be the
// beginning of a stop string.
func checkStop(t *testing.T, text string, stops []string, next func(left int) int) {
	t.Helper()
	s, err := NewStop(stops)
	if err != nil {
		return
	}
	want, wantHit := slowStop(text, stops)
	var got strings.Builder
	hit := false
	for left := text; left != "" && !hit; {
		n := next(len(left))
		var emit string
		emit, hit = s.Push(left[:n])
		got.WriteString(emit)
		left = left[n:]
	}
	if held := s.Flush(); held != "" && !slices.ContainsFunc(stops, func(stop string) bool { return strings.HasPrefix(stop, held) }) {
		t.Errorf("%q, stops %q: held %q", text, stops, held)
	} else {
		got.WriteString(held)
	}
	if got.String() != want || hit != wantHit {
		t.Errorf("%q, stops %q: %q, %v, want %q, %v", text, stops, got.String(), hit, want, wantHit)
	}
}

func TestStopAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab"[rng.IntN(2)]
		}
		return string(b)
	}
	for range 5000 {
		stops := make([]string, rng.IntN(4))
		for i := range stops {
			stops[i] = random(1 + rng.IntN(6))
		}
		checkStop(t, random(rng.IntN(20)), stops, func(left int) int { return 1 + rng.IntN(left) })
	}
}

func FuzzStop(f *testing.F) {
	f.Add("one\ntwo\n\nthree", "\n\n", "thr", uint8(2))
	f.Add("aaab", "aab", "b", uint8(1))
	f.Add("好。é", "。", "è", uint8(1))
	f.Fuzz(func(t *testing.T, text, stop0, stop1 string, cut uint8) {
		checkStop(t, text, []string{stop0, stop1}, func(left int) int { return min(left, 1+int(cut)) })
	})
}
