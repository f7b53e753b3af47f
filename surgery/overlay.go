package surgery

import (
	"fmt"
	"math"
	"slices"

	"troupe/model"
	"troupe/router"
)

// Bounds of an overlay, those of model.Config.Validate.
const (
	maxLayers   = 1 << 12
	maxExperts  = 1 << 12
	maxNote     = 1 << 12
	maxNoise    = 10
	sumOfShares = 1e-6 // by which shares may miss 1
)

// Overlay describes a model made from another by rearranging experts. It is never changed once it is made; layers
// that are alike may share memory.
type Overlay struct {
	Layers   [][]Expert // [num_layers][new num_experts]
	Experts  int        // num_experts of the model that it was made for
	Selected int        // new num_selected_experts; 0: the smaller one of the old number and the new num_experts
	Note     string     // how it was made, for people
}

// Expert is a new expert.
type Expert struct {
	Router  Mix     // of the old router's columns
	Weights Mix     // of the old experts' matrices
	Noise   float64 // standard deviation of what is added to each matrix and to the column, by their root mean square; 0: none
	Seed    uint64  // of the noise
}

// Mix is an average of old experts, ascending, each named once; the shares add up to 1.
type Mix []Term

// Term is an old expert's part of an average.
type Term struct {
	Expert int
	Share  float64 // above 0, at most 1
}

// Copy is an expert as it was, at another place.
func Copy(expert int) Expert {
	m := one(expert)
	return Expert{Router: m, Weights: m}
}

func one(expert int) Mix { return Mix{{expert, 1}} }

// Made tells whether the expert's matrices have to be computed; else they are those of Weights[0].Expert.
func (e Expert) Made() bool { return e.Noise > 0 || len(e.Weights) > 1 }

// SizesOf are the sizes of a model that matter here.
func SizesOf(c model.Config) router.Sizes {
	return router.Sizes{Layers: c.Model.NumLayers, Experts: c.Model.NumExperts, Selected: c.Model.NumSelectedExperts}
}

// NumExperts is the number of experts that each layer has afterwards.
func (o *Overlay) NumExperts() int { return len(o.Layers[0]) }

// Config is the configuration of the model that the overlay makes of one with this configuration. The error says
// why it does not fit.
func (o *Overlay) Config(c model.Config) (model.Config, error) {
	m := &c.Model
	if len(o.Layers) != m.NumLayers || o.Experts != m.NumExperts {
		return c, fmt.Errorf("surgery: an overlay for %d layers of %d experts, and the model has %d of %d: use the overlay that was made for this model", len(o.Layers), o.Experts, m.NumLayers, m.NumExperts)
	}
	m.NumExperts = o.NumExperts()
	if o.Selected > 0 {
		m.NumSelectedExperts = o.Selected
	}
	m.NumSelectedExperts = min(m.NumSelectedExperts, m.NumExperts)
	return c, c.Validate()
}

// Check says what is wrong with an overlay: the first fault, with its layer and expert.
func (o *Overlay) Check() error {
	switch {
	case len(o.Layers) < 1 || len(o.Layers) > maxLayers:
		return fmt.Errorf("surgery: %d layers, want 1 to %d", len(o.Layers), maxLayers)
	case o.Experts < 1 || o.Experts > maxExperts:
		return fmt.Errorf("surgery: made for %d experts, want 1 to %d", o.Experts, maxExperts)
	case len(o.Note) > maxNote:
		return fmt.Errorf("surgery: a note of %d bytes, want at most %d", len(o.Note), maxNote)
	}
	n := len(o.Layers[0])
	for l, experts := range o.Layers {
		switch {
		case len(experts) < 1 || len(experts) > maxExperts:
			return fmt.Errorf("surgery: layer %d: %d experts, want 1 to %d", l, len(experts), maxExperts)
		case len(experts) != n:
			return fmt.Errorf("surgery: layer %d has %d experts, layer 0 has %d: num_experts is one number, so all layers need as many", l, len(experts), n)
		case l > 0 && &experts[0] == &o.Layers[l-1][0]: // looked at before
			continue
		}
		for j, e := range experts {
			if err := e.check(o.Experts); err != nil {
				return fmt.Errorf("surgery: layer %d: expert %d: %w", l, j, err)
			}
		}
	}
	if o.Selected < 0 || o.Selected > n {
		return fmt.Errorf("surgery: %d selected experts, want 1 to %d", o.Selected, n)
	}
	return nil
}

func (e Expert) check(experts int) error {
	if err := e.Router.check(experts); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if err := e.Weights.check(experts); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	if !(e.Noise >= 0 && e.Noise <= maxNoise) {
		return fmt.Errorf("noise %v, want 0 to %d times the weights' root mean square", e.Noise, maxNoise)
	}
	return nil
}

func (m Mix) check(experts int) error {
	sum := 0.0
	for i, t := range m {
		switch {
		case t.Expert < 0 || t.Expert >= experts:
			return fmt.Errorf("old expert %d, want 0 to %d", t.Expert, experts-1)
		case i > 0 && t.Expert <= m[i-1].Expert:
			return fmt.Errorf("old expert %d twice: want each once", t.Expert)
		case !(t.Share > 0 && t.Share <= 1+sumOfShares):
			return fmt.Errorf("share %v of old expert %d, want above 0 and at most 1", t.Share, t.Expert)
		}
		sum += t.Share
	}
	switch {
	case len(m) == 0:
		return fmt.Errorf("no old expert, want one or more")
	case math.Abs(sum-1) > sumOfShares:
		return fmt.Errorf("shares add up to %v, want 1", sum)
	}
	return nil
}

// mixOf makes an average of terms in any order; those of one expert are added.
func mixOf(terms []Term) Mix {
	sorted := slices.Clone(terms)
	slices.SortStableFunc(sorted, func(a, b Term) int { return a.Expert - b.Expert })
	var m Mix
	for _, t := range sorted {
		if n := len(m); n > 0 && m[n-1].Expert == t.Expert {
			m[n-1].Share += t.Share
			continue
		}
		m = append(m, t)
	}
	if len(m) == 1 {
		m[0].Share = 1
	}
	return m
}

// equal are experts made alike.
func (e Expert) equal(other Expert) bool {
	return slices.Equal(e.Router, other.Router) && e.SameWeights(other)
}

// SameWeights tells whether two experts of one layer have the same matrices.
func (e Expert) SameWeights(other Expert) bool {
	return slices.Equal(e.Weights, other.Weights) && e.Noise == other.Noise && (e.Noise == 0 || e.Seed == other.Seed)
}
