package link

import (
	"fmt"
	"slices"
	"testing"
)

// Each end of a peer is told once, and the late end of what it was before is not told.
func TestPeers(t *testing.T) {
	cases := []struct {
		name   string
		events string // f found, o opened, c came, x closed, l left
		want   int
	}{
		{"killed", "focxl", 1},
		{"killed, the other order", "foclx", 1},
		{"killed, and said three times", "focxlxx", 1},
		{"a dial that fails", "fx", 1},
		{"a dial that fails without a probe", "x", 1},
		{"only sends", "cl", 1},
		{"two streams", "ccl", 0},
		{"dies twice", "focxlfocxl", 2},
		{"is back before its old stream has ended", "focxfocl", 1},
		{"and then dies", "focxfoclxl", 2},
	}
	for _, c := range cases {
		var got []string
		p := newPeers(func(a string) { got = append(got, a) })
		for _, e := range c.events {
			map[rune]func(string){'f': p.found, 'o': p.opened, 'c': p.came, 'x': p.closed, 'l': p.left}[e]("a")
		}
		if len(got) != c.want || slices.ContainsFunc(got, func(a string) bool { return a != "a" }) {
			t.Errorf("%s: told %q, want %d times", c.name, got, c.want)
		}
	}
	p := newPeers(func(string) { t.Error("told after the end") })
	p.silence()
	p.closed("a")
}

func TestPeersAreBounded(t *testing.T) {
	told := 0
	p := newPeers(func(string) { told++ })
	p.came("here")
	for i := range 10 * mostKnown {
		a := fmt.Sprint(i)
		p.came(a)
		p.left(a)
	}
	if len(p.by) > mostKnown || told != 10*mostKnown {
		t.Errorf("%d addresses are kept, %d were told", len(p.by), told)
	}
	p.left("here")
	if told != 10*mostKnown+1 {
		t.Error("one that was connected has been forgotten")
	}
}
