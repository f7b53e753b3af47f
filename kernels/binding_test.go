package kernels

import (
	"strings"
	"testing"
)

var _ = Register(Variant{Name: "test/never", Score: func() int { return 0 }})
var _ = Register(Variant{Name: "test/slow", Score: func() int { return 1 }})
var _ = Register(Variant{Name: "test/fast", Score: func() int { return 2 }})

func TestFind(t *testing.T) {
	for name, want := range map[string]string{"": "test/fast", "test": "test/fast", "test/slow": "test/slow"} {
		if v, err := Find(name); err != nil || v.Name != want {
			t.Errorf("%q: %s, %v, want %s", name, v.Name, err, want)
		}
	}
	for name, want := range map[string]string{"test/never": "cannot run on this machine", "tes": "unknown", "cuda": "unknown"} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", name, err, want)
		}
	}
}

func TestBinding(t *testing.T) {
	b, err := ParseBinding("test/slow, expert=test/fast ,attend@1-2=test,attend@2=test/slow")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op    Op
		layer int
		want  string
	}{{Embed, -1, "test/slow"}, {Expert, 5, "test/fast"}, {Attend, 0, "test/slow"}, {Attend, 1, "test"}, {Attend, 2, "test/slow"}} {
		if got := b.Library(c.op, c.layer); got != c.want {
			t.Errorf("%v of layer %d: %q, want %q", c.op, c.layer, got, c.want)
		}
	}
	for _, s := range []string{"nothing", "expert=", "=test", "exprt=test", "expert@x=test", "expert@3-1=test", "expert@-1=test", "test/never"} {
		if _, err := ParseBinding(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
}

func TestBindingOfLayers(t *testing.T) {
	b, err := ParseBinding("@1-2=test/slow,attend@2=test/fast")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op    Op
		layer int
		want  string
	}{{Embed, -1, ""}, {Linear, 0, ""}, {Linear, 1, "test/slow"}, {Attend, 2, "test/fast"}, {Add, 2, "test/slow"}, {Add, 3, ""}} {
		if got := b.Library(c.op, c.layer); got != c.want {
			t.Errorf("%v of layer %d: %q, want %q", c.op, c.layer, got, c.want)
		}
	}
}

func TestBindingWith(t *testing.T) {
	for _, c := range []struct{ first, more, want string }{
		{"", "", ""},
		{"test", "", "test"},
		{"test,expert=test/slow", "expert=test/fast", "test,expert=test/fast"},
		{"expert@1=test/slow,attend@0-3=test", "expert=test/fast,attend@2=test/fast", "attend@0-3=test,expert=test/fast,attend@2=test/fast"},
		{"expert=test/slow,@0-3=test", "test/fast", "test/fast"},
		{"expert@1-2=test", "@0-3=test/fast", "@0-3=test/fast"},
		{"@1=test", "expert=test/fast", "@1=test,expert=test/fast"},
	} {
		first, err := ParseBinding(c.first)
		if err != nil {
			t.Fatal(err)
		}
		more, err := ParseBinding(c.more)
		if err != nil {
			t.Fatal(err)
		}
		got := first.With(more).String()
		if got != c.want {
			t.Errorf("%q with %q: %q, want %q", c.first, c.more, got, c.want)
		}
		if again, err := ParseBinding(got); err != nil || again.String() != got {
			t.Errorf("%q read again: %q, %v", got, again, err)
		}
	}
}

func TestLend(t *testing.T) {
	v := Variant{Name: "lent/x", Score: func() int { return 99 }, Open: func(Threads) (Library, error) { return nil, nil }}
	if err := Lend(v); err != nil {
		t.Fatal(err)
	}
	defer Return(v.Name)
	v.Doc = "again"
	if err := Lend(v); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if got, err := Find("lent"); err != nil || got.Doc != "again" {
		t.Errorf("named: %+v, %v", got, err)
	}
	if got, err := Find(""); err != nil || got.Name != "test/fast" {
		t.Errorf("not named: %s, %v, want one that is built in", got.Name, err)
	}
	for _, bad := range []string{"test/slow", "", "a b", "a=b", "a,b", "a@b"} {
		v.Name = bad
		if err := Lend(v); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	Return("test/slow")
	if _, err := Find("test/slow"); err != nil {
		t.Error("a built-in library was taken away")
	}
	Return("lent/x")
	if _, err := Find("lent/x"); err == nil {
		t.Error("a returned library is still there")
	}
}

func TestBlocksCoverEveryInputOnce(t *testing.T) {
	for k := 1; k < 600; k++ {
		for _, groups := range []int{0, 1, 2, 8} {
			if groups > 0 && k%groups != 0 {
				continue
			}
			next, n := 0, 0
			Blocks(k, groups, func(g, lo, hi int) {
				if lo != next || hi <= lo || hi-lo > BlockRows || groups > 0 && (lo/(k/groups) != g || (hi-1)/(k/groups) != g) {
					t.Fatalf("k %d, groups %d: block %d to %d of group %d", k, groups, lo, hi, g)
				}
				next, n = hi, n+1
			})
			if next != k || n != NumBlocks(k, groups) {
				t.Fatalf("k %d, groups %d: ends at %d after %d blocks, want %d", k, groups, next, n, NumBlocks(k, groups))
			}
		}
	}
}

func TestWeightCheck(t *testing.T) {
	for what, w := range map[string]Weight{
		"shape":       {Name: "w", In: 0, Out: 2},
		"values":      {Name: "w", In: 2, Out: 2, F: make([]float32, 3)},
		"int8 values": {Name: "w", In: 2, Out: 2, Q: make([]int8, 5), Groups: 1, Scales: make([]float32, 2)},
		"groups":      {Name: "w", In: 3, Out: 2, Q: make([]int8, 6), Groups: 2, Scales: make([]float32, 4)},
		"scales":      {Name: "w", In: 4, Out: 2, Q: make([]int8, 8), Groups: 2, Scales: make([]float32, 3)},
		"both":        {Name: "w", In: 1, Out: 1, Q: make([]int8, 1), F: make([]float32, 1)},
	} {
		if w.Check() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := (&Weight{In: 4, Out: 2, Q: make([]int8, 8), Groups: 2, Scales: make([]float32, 4)}).Check(); err != nil {
		t.Error(err)
	}
}

func TestBindingCheckLayers(t *testing.T) {
	for s, want := range map[string]string{"": "", "test/slow": "", "expert=test": "", "expert@0-5=test": "", "@5=test": "",
		"expert@6=test": `"expert@6=test": layer 6, want 0 to 5`, "test,@3-9=test": `"@3-9=test": layer 9, want 0 to 5`} {
		b, err := ParseBinding(s)
		if err == nil {
			err = b.CheckLayers(6)
		}
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}
