package surgery

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const good = `{"troupe_overlay": 1, "num_layers": 3, "num_experts": 4, "num_selected_experts": 1, "note": "by hand", "layers": [
	{"layers": "1-2", "experts": [3, {"router": 0, "weights": [1, 2]}]},
	{"layers": "0", "experts": [{"router": [0, 2], "router_shares": [0.25, 0.75], "weights": [3, 0], "shares": [0.9, 0.1]}, {"router": 2, "weights": 2, "noise": 0.5, "seed": 18446744073709551615}]}
]}`

func TestParse(t *testing.T) {
	o, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	half := []Expert{Copy(3), {Router: one(0), Weights: Mix{{1, .5}, {2, .5}}}}
	want := &Overlay{Experts: 4, Selected: 1, Note: "by hand", Layers: [][]Expert{
		{{Router: Mix{{0, .25}, {2, .75}}, Weights: Mix{{0, .1}, {3, .9}}}, {Router: one(2), Weights: one(2), Noise: .5, Seed: 1<<64 - 1}}, half, half,
	}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("%+v, want %+v", o, want)
	}
	again(t, o)
}

// again writes an overlay and reads it.
func again(t *testing.T, o *Overlay) []byte {
	t.Helper()
	raw, err := o.Format()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse(raw)
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if b.Experts != o.Experts || b.Selected != o.Selected || b.Note != o.Note ||
		!slices.EqualFunc(b.Layers, o.Layers, func(x, y []Expert) bool { return slices.EqualFunc(x, y, Expert.equal) }) {
		t.Errorf("written and read: %+v, want %+v", b, o)
	}
	return raw
}

// TestFormat: layers that are alike take one line.
func TestFormat(t *testing.T) {
	raw := again(t, must(t)(Prune(sizes, [][]int{{0, 1}, {0, 1}, {2, 3}})))
	want := `{
  "troupe_overlay": 1,
  "num_layers": 3,
  "num_experts": 4,
  "num_selected_experts": 2,
  "note": "prune",
  "layers": [
    {"layers":"0-1","experts":[0,1]},
    {"layers":"2","experts":[2,3]}
  ]
}
`
	if string(raw) != want {
		t.Errorf("%s, want %s", raw, want)
	}
	again(t, must(t)(Upcycle(sizes, 16, 0.01, 7)))
	third := 1 / 3.
	again(t, must(t)(Average(sizes, slices.Repeat([][][]Term{{{{0, third}, {1, third}, {2, third}}}}, 3), true)))
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`"note"`, `"nota"`, `unknown field "nota"`},
		{`"troupe_overlay": 1`, `"troupe_overlay": 2`, "troupe_overlay is 2, want 1"},
		{`"troupe_overlay": 1, `, ``, "troupe_overlay is 0, want 1"},
		{`"num_layers": 3`, `"num_layers": 1000000000`, "num_layers is 1000000000, want 1 to 4096"},
		{`"num_layers": 3`, `"num_layers": 4`, "layer 3: 0 experts"},
		{`"num_layers": 3`, `"num_layers": 2`, `layers "1-2", want one or a range of 0 to 1`},
		{`"1-2"`, `"0-2"`, "layer 0 is described twice"},
		{`"1-2"`, `"2-1"`, `layers "2-1"`},
		{`"1-2"`, `"x"`, `layers "x"`},
		{`"num_experts": 4`, `"num_experts": 3`, "old expert 3, want 0 to 2"},
		{`"num_experts": 4`, `"num_experts": 0`, "made for 0 experts"},
		{`"num_selected_experts": 1`, `"num_selected_experts": 3`, "3 selected experts, want 1 to 2"},
		{`"num_selected_experts": 1`, `"num_selected_experts": -1`, "-1 selected experts"},
		{`[3, {`, `[{`, "layer 1 has 1 experts, layer 0 has 2: num_experts is one number"},
		{`[3, {`, `[` + strings.Repeat("3,", 4096) + `{`, "layers 1-2: 4097 experts, want 1 to 4096"},
		{`[3, {`, `[null, {`, "router: no old expert"},
		{`[3, {`, `["3", {`, "layers 1-2: expert 0"},
		{`[3, {`, `[3.5, {`, "layers 1-2: expert 0"},
		{`[1, 2]`, `[1, 1]`, "old expert 1 twice"},
		{`[1, 2]`, `[]`, "weights: no old expert"},
		{`"router": 0, `, ``, "router: no old expert"},
		{`"router": 0, `, `"router": 0, "wait": 1, `, `unknown field "wait"`},
		{`[0.9, 0.1]`, `[0.9]`, "1 shares for 2 experts"},
		{`[0.9, 0.1]`, `[0.9, 0.2]`, "shares add up to 1.1, want 1"},
		{`[0.9, 0.1]`, `[1, 0]`, "share 0 of old expert 0"},
		{`"noise": 0.5`, `"noise": -0.5`, "noise -0.5"},
		{`"noise": 0.5`, `"noise": 1e300`, "noise 1e+300"},
		{`]}` + "\n]}", `]}` + "\n]} {}", "more than one JSON value"},
		{good, `[]`, "want an overlay"},
		{`by hand`, strings.Repeat("x", 5000), "a note of 5000 bytes"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%q does not occur", c.from)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %.300v, want an error with %q", c.to, err, c.want)
		}
	}
	if _, err := Parse(bytes.Repeat([]byte(" "), MaxFile+1)); err == nil || !strings.Contains(err.Error(), "not an overlay") {
		t.Errorf("a long file: %v", err)
	}
}

// Copies, of which a large file has millions, take little more than their places.
func TestParseTakesLittleMemory(t *testing.T) {
	list := strings.Repeat(",1", 4000)[1:]
	var b strings.Builder
	b.WriteString(`{"troupe_overlay":1,"num_layers":50,"num_experts":2,"layers":[`)
	for l := range 50 {
		fmt.Fprintf(&b, `{"layers":"%d","experts":[%s]},`, l, list)
	}
	raw := []byte(strings.TrimSuffix(b.String(), ",") + "]}")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o, err := Parse(raw)
	runtime.ReadMemStats(&after)
	if err != nil || len(o.Layers) != 50 {
		t.Fatal(err)
	}
	if each := float64(after.TotalAlloc-before.TotalAlloc) / (50 * 4000); each > 250 {
		t.Errorf("%.0f bytes for each of %d experts", each, 50*4000)
	}
}

// FuzzParse: what is read can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"troupe_overlay": 1, "num_layers": 4096, "num_experts": 1, "layers": [{"layers": "0-4095", "experts": [0]}]}`))
	f.Add([]byte(`{"troupe_overlay":1,"num_layers":1,"num_experts":1,"layers":[{"layers":"0","experts":[null]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if o, err := Parse(raw); err == nil {
			again(t, o)
		}
	})
}
