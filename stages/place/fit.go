package place

import "troupe/model"

// Fit compares what a device has to hold with the memory that it is said to have.
type Fit struct {
	Device int // index of the plan
	Have   int64
	Need   Memory
	// Bits is how many bits a weight may take on average, scales included, for everything to fit: of the
	// device's matrices that may be stored as int8, while the rest stays as it is. Not above 0 where the
	// rest alone is too large, 0 where there are no such matrices.
	Bits float64
	// Layers is how many layers would fit as they are stored, with their experts and their cache, beside
	// what the device holds outside the layers; at most all of the model.
	Layers int
}

// Fits reports whether everything fits.
func (f Fit) Fits() bool { return f.Need.Total() <= f.Have }

// Fit compares a plan's budget with the memory of every device that states one.
func (p Plan) Fit(c model.Config, q Quantities) []Fit {
	w := newWeights(c)
	matrices := make([]int64, len(p.Devices)) // weights that may be int8
	bytes := make([]int64, len(p.Devices))    // theirs
	outside := make([]int64, len(p.Devices))  // bytes outside the layers
	outside[p.Stages[len(p.Stages)-1].Device] += q.Head
	p.parts(w, q.Head > 0, func(device int, t model.Tensor, of int64) {
		if len(t.Int8) > 0 {
			matrices[device] += elements(t) / of
			bytes[device] += q.Storage.Bytes(t) / of
		}
		if t.Layer < 0 {
			outside[device] += q.Storage.Bytes(t)
		}
	})
	b := p.Budget(c, q)
	layer := b.Host.Cache
	for _, t := range w.tensors {
		if t.Layer >= 0 {
			layer += q.Storage.Bytes(t)
		}
	}
	layer /= int64(c.Model.NumLayers)
	var fits []Fit
	for i, need := range b.Devices {
		if have := p.Devices[i].Memory; have > 0 {
			free := have - outside[i] - need.Batches
			f := Fit{Device: i, Have: have, Need: need, Layers: int(min(max(free/layer, 0), int64(c.Model.NumLayers)))}
			if matrices[i] > 0 {
				rest := need.Total() - bytes[i]
				f.Bits = 8 * float64(have-rest) / float64(matrices[i])
			}
			fits = append(fits, f)
		}
	}
	return fits
}
