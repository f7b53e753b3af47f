package surgery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// MaxFile bounds the file of an overlay, in bytes.
const MaxFile = 16 << 20

const version = 1

// file is an overlay as JSON. Layers that are alike stand together.
type file struct {
	Version    int         `json:"troupe_overlay"`
	NumLayers  int         `json:"num_layers"`
	NumExperts int         `json:"num_experts"`
	Selected   int         `json:"num_selected_experts,omitempty"`
	Note       string      `json:"note,omitempty"`
	Layers     []fileLayer `json:"layers"`
}

type fileLayer struct {
	Layers  string            `json:"layers"` // "3" or "0-2"
	Experts []json.RawMessage `json:"experts"`
}

// fileExpert is an expert in the long form; the short form is a number, the old expert with its column.
type fileExpert struct {
	Router       numbers   `json:"router"`
	RouterShares []float64 `json:"router_shares,omitempty"`
	Weights      numbers   `json:"weights"`
	Shares       []float64 `json:"shares,omitempty"`
	Noise        float64   `json:"noise,omitempty"`
	Seed         uint64    `json:"seed,omitempty"`
}

// numbers are several, or one without brackets.
type numbers []int

func (n *numbers) UnmarshalJSON(raw []byte) error {
	var one int
	if json.Unmarshal(raw, &one) == nil {
		*n = numbers{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]int)(n))
}

// MarshalJSON leaves the brackets of one number out.
func (n numbers) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]int(n))
}

// Parse reads the file of an overlay and checks it. Unknown fields are errors.
func Parse(raw []byte) (*Overlay, error) {
	if len(raw) > MaxFile {
		return nil, fmt.Errorf("surgery: longer than %d bytes: not an overlay", MaxFile)
	}
	var f file
	if err := strict(raw, &f); err != nil {
		return nil, fmt.Errorf("surgery: %w: want an overlay, as troupe experts writes it", err)
	}
	switch {
	case f.Version != version:
		return nil, fmt.Errorf("surgery: troupe_overlay is %d, want %d", f.Version, version)
	case f.NumLayers < 1 || f.NumLayers > maxLayers:
		return nil, fmt.Errorf("surgery: num_layers is %d, want 1 to %d", f.NumLayers, maxLayers)
	}
	o := &Overlay{Experts: f.NumExperts, Selected: f.Selected, Note: f.Note, Layers: make([][]Expert, f.NumLayers)}
	known := copies{}
	for _, group := range f.Layers {
		lo, hi, err := group.span(f.NumLayers)
		if err != nil {
			return nil, fmt.Errorf("surgery: %w", err)
		}
		experts, err := group.experts(known)
		if err != nil {
			return nil, fmt.Errorf("surgery: layers %s: %w", group.Layers, err)
		}
		for l := lo; l <= hi; l++ {
			if o.Layers[l] != nil {
				return nil, fmt.Errorf("surgery: layer %d is described twice", l)
			}
			o.Layers[l] = experts
		}
	}
	return o, o.Check()
}

// strict decodes one JSON value without unknown fields.
func strict(raw []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// span reads "3" or "0-2".
func (g fileLayer) span(layers int) (lo, hi int, err error) {
	first, last, several := strings.Cut(g.Layers, "-")
	if !several {
		last = first
	}
	lo, errLo := strconv.Atoi(first)
	hi, errHi := strconv.Atoi(last)
	if errLo != nil || errHi != nil || lo < 0 || hi < lo || hi >= layers {
		return 0, 0, fmt.Errorf("layers %.40q, want one or a range of 0 to %d, as \"0-2\"", g.Layers, layers-1)
	}
	return lo, hi, nil
}

// copies are those that have been read, by old expert: a large file has few that differ.
type copies map[int]Expert

func (known copies) of(expert int) Expert {
	e, ok := known[expert]
	if !ok {
		if e = Copy(expert); expert >= 0 && expert < maxExperts { // others are refused later
			known[expert] = e
		}
	}
	return e
}

func (g fileLayer) experts(known copies) ([]Expert, error) {
	if n := len(g.Experts); n < 1 || n > maxExperts {
		return nil, fmt.Errorf("%d experts, want 1 to %d", n, maxExperts)
	}
	list := make([]Expert, len(g.Experts))
	for j, raw := range g.Experts {
		var err error
		if list[j], err = readExpert(raw, known); err != nil {
			return nil, fmt.Errorf("expert %d: %w", j, err)
		}
	}
	return list, nil
}

func readExpert(raw []byte, known copies) (Expert, error) {
	if n, err := strconv.Atoi(string(raw)); err == nil {
		return known.of(n), nil
	}
	var f fileExpert
	if err := strict(raw, &f); err != nil {
		return Expert{}, fmt.Errorf("%w: want the number of an old expert, or {\"router\": …, \"weights\": …}", err)
	}
	e := Expert{Noise: f.Noise, Seed: f.Seed}
	var err error
	if e.Router, err = readMix(f.Router, f.RouterShares); err != nil {
		return e, fmt.Errorf("router: %w", err)
	}
	if e.Weights, err = readMix(f.Weights, f.Shares); err != nil {
		return e, fmt.Errorf("weights: %w", err)
	}
	return e, nil
}

// readMix puts experts and shares together, equal ones where none are said. The sum is checked later.
func readMix(list numbers, shares []float64) (Mix, error) {
	if shares != nil && len(shares) != len(list) {
		return nil, fmt.Errorf("%d shares for %d experts, want one for each", len(shares), len(list))
	}
	m := make(Mix, len(list))
	for i, e := range list {
		m[i] = Term{e, 1 / float64(len(list))}
		if shares != nil {
			m[i].Share = shares[i]
		}
	}
	slices.SortStableFunc(m, func(a, b Term) int { return a.Expert - b.Expert })
	return m, nil
}

// Format writes an overlay as the file that Parse reads, a line for each run of layers that are alike.
func (o *Overlay) Format() ([]byte, error) {
	f := file{Version: version, NumLayers: len(o.Layers), NumExperts: o.Experts, Selected: o.Selected, Note: o.Note}
	for lo := 0; lo < len(o.Layers); {
		hi := lo
		for hi+1 < len(o.Layers) && slices.EqualFunc(o.Layers[lo], o.Layers[hi+1], Expert.equal) {
			hi++
		}
		name := strconv.Itoa(lo)
		if hi > lo {
			name += "-" + strconv.Itoa(hi)
		}
		group := fileLayer{Layers: name}
		for _, e := range o.Layers[lo] {
			raw, err := json.Marshal(writeExpert(e))
			if err != nil {
				return nil, err
			}
			group.Experts = append(group.Experts, raw)
		}
		f.Layers = append(f.Layers, group)
		lo = hi + 1
	}
	return f.lines()
}

// lines writes the head, then a line for each group: short enough to be read, long enough to be seen as one.
func (f file) lines() ([]byte, error) {
	groups := f.Layers
	f.Layers = nil
	head, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(head, []byte("null\n}")))
	b.WriteString("[")
	for i, g := range groups {
		raw, err := json.Marshal(g)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(raw)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes(), nil
}

func writeExpert(e Expert) any {
	if !e.Made() && len(e.Router) == 1 && e.Router[0].Expert == e.Weights[0].Expert {
		return e.Router[0].Expert
	}
	f := fileExpert{Noise: e.Noise}
	if e.Noise > 0 {
		f.Seed = e.Seed
	}
	f.Router, f.RouterShares = e.Router.write()
	f.Weights, f.Shares = e.Weights.write()
	return f
}

// write gives the experts of a mix, and their shares if they are not all equal.
func (m Mix) write() (list numbers, shares []float64) {
	equal := true
	for _, t := range m {
		list, shares = append(list, t.Expert), append(shares, t.Share)
		equal = equal && t.Share == 1/float64(len(m))
	}
	if equal {
		shares = nil
	}
	return list, shares
}
