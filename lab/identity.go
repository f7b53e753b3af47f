package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math"
	"slices"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// samples is how many values of an array Identity looks at.
const samples = 256

// Identity names a model by what it is: a hash over the configuration, the names and shapes of all arrays, and 256
// values of each, evenly spread. It does not depend on the container or on the layout in memory. That two models have
// the same by chance is beyond reason; that they differ in a few values only may escape it.
func Identity(c model.Config, w stages.Weights) (string, error) {
	h := sha256.New()
	raw, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	h.Write(raw)
	names := make([]string, 0, len(w))
	for name := range w {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(h, "\n%s %d", name, len(w[name]))
		for e, one := range w[name] {
			if one == nil {
				return "", fmt.Errorf("lab: %s: expert %d is not loaded: a model is known by the whole of it", name, e)
			}
			sample(h, one)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

func sample(h hash.Hash, w *kernels.Weight) {
	fmt.Fprintf(h, "\n%d %d %d", w.In, w.Out, w.Groups)
	for _, list := range [][]float32{w.Scales, w.F} {
		for i := range spread(len(list)) {
			var b [4]byte
			binary.LittleEndian.PutUint32(b[:], math.Float32bits(list[i]))
			h.Write(b[:])
		}
	}
	if w.Quantised() {
		for i := range spread(w.In * w.Out) {
			h.Write([]byte{byte(w.At(i/w.Out, i%w.Out))})
		}
	}
}

// spread yields indices below n, the same for the same n, at most as many as samples.
func spread(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		many := min(n, samples)
		for k := range many {
			if i := int(int64(n) * int64(2*k+1) / int64(2*many)); !yield(i) {
				return
			}
		}
	}
}

// Identities names documents by what is judged: a hash over their ids, names and domains.
func Identities(documents []Document) string {
	h := sha256.New()
	for _, d := range documents {
		fmt.Fprintf(h, "%q %q %d\n", d.Name, d.Domain, d.IDs)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
