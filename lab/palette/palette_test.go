package palette

import (
	"math"
	"testing"
)

// Text is read on every colour, in full and in 256 colours.
func TestContrast(t *testing.T) {
	check := func(what string, c Colour) {
		t.Helper()
		if got := Contrast(c, c.Ink()); got < 4.5 {
			t.Errorf("%s %s: contrast %.2f with its ink, want 4.5", what, c.Hex(), got)
		}
		if got := Contrast(OfIndex(c.Index()), OfIndex(c.Index()).Ink()); got < 4.5 {
			t.Errorf("%s %s: contrast %.2f in 256 colours, want 4.5", what, c.Hex(), got)
		}
	}
	for e := range NumExperts {
		c, _ := Expert(e)
		check("expert", c)
	}
	for i := range 101 {
		for what, c := range map[string]Colour{"sequential": Sequential(float64(i) / 100), "diverging": Diverging(float64(i)/50 - 1),
			"sequential index": OfIndex(SequentialIndex(float64(i) / 100)), "diverging index": OfIndex(DivergingIndex(float64(i)/50 - 1))} {
			if got := Contrast(c, c.Ink()); got < 4.5 {
				t.Errorf("%s %s: contrast %.2f with its ink, want 4.5", what, c.Hex(), got)
			}
		}
	}
}

func TestExpertsAreToldApart(t *testing.T) {
	seen := map[int]int{}
	for e := range NumExperts {
		c, style := Expert(e)
		if before, ok := seen[c.Index()]; ok || style != 0 {
			t.Errorf("expert %d looks like expert %d, style %d", e, before, style)
		}
		seen[c.Index()] = e
		if again, next := Expert(e + 2*NumExperts); again != c || next != 2 {
			t.Errorf("expert %d: %v in style %d, want that of %d in style 2", e+2*NumExperts, again, next, e)
		}
	}
}

// Scales run in lightness, so that they are read in grey as well.
func TestScalesRunInLightness(t *testing.T) {
	for i := range 100 {
		lighter, darker := Sequential(float64(i)/100), Sequential(float64(i+1)/100)
		if lighter.Luminance() <= darker.Luminance() {
			t.Errorf("sequential: %d is as dark as %d", i, i+1)
		}
		for _, side := range []float64{-1, 1} {
			lighter, darker = Diverging(side*float64(i)/100), Diverging(side*float64(i+1)/100)
			if lighter.Luminance() <= darker.Luminance() {
				t.Errorf("diverging: %v is as dark as %v", side*float64(i), side*float64(i+1))
			}
		}
	}
	for i := range 100 { // in steps
		if OfIndex(SequentialIndex(float64(i)/100)).Luminance() < OfIndex(SequentialIndex(float64(i+1)/100)).Luminance() {
			t.Errorf("sequential index: %d is darker than %d", i, i+1)
		}
		for _, side := range []float64{-1, 1} {
			if OfIndex(DivergingIndex(side*float64(i)/100)).Luminance() < OfIndex(DivergingIndex(side*float64(i+1)/100)).Luminance() {
				t.Errorf("diverging index: %v is darker than the next", side*float64(i))
			}
		}
	}
	if SequentialIndex(math.NaN()) != SequentialIndex(0) || SequentialIndex(9) != SequentialIndex(1) || DivergingIndex(math.NaN()) != DivergingIndex(0) || DivergingIndex(-1) == DivergingIndex(1) {
		t.Error("what is outside of a ramp is not its end")
	}
	if Sequential(-1) != Sequential(0) || Sequential(2) != Sequential(1) || Sequential(math.NaN()) != Sequential(0) || Diverging(math.NaN()) != Diverging(0) {
		t.Error("what is outside is not the end")
	}
}

func TestIndex(t *testing.T) {
	for c, want := range map[Colour]int{{}: 16, White: 231, {0x08, 0x08, 0x08}: 232, {0xd7, 0x5f, 0x00}: 166, {0xbc, 0xbc, 0xbc}: 250} {
		if got := c.Index(); got != want {
			t.Errorf("%s: index %d, want %d", c.Hex(), got, want)
		}
	}
	if (Colour{1, 2, 255}).Hex() != "#0102ff" {
		t.Error("Hex")
	}
}
