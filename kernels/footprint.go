package kernels

import "slices"

// Footprint says which slots calls touch, in order of slots.
type Footprint struct {
	Reads  []Slot // read, and written by none of the calls
	Writes []Slot
	Live   []Slot // of Writes: those whose contents from before the calls matter
}

// FootprintOf looks at calls that run one after the other. An op that writes a part of a slot, as Expert
// does, makes it live.
func FootprintOf(calls []Call) Footprint {
	var f Footprint
	for i := range calls {
		c := &calls[i]
		for _, s := range c.In {
			if !slices.Contains(f.Writes, s) && !slices.Contains(f.Reads, s) {
				f.Reads = append(f.Reads, s)
			}
		}
		for _, s := range c.Out {
			if c.Op == Expert && !slices.Contains(f.Writes, s) && !slices.Contains(f.Reads, s) {
				f.Reads = append(f.Reads, s)
			}
			if !slices.Contains(f.Writes, s) {
				f.Writes = append(f.Writes, s)
			}
		}
	}
	for _, s := range f.Reads {
		if slices.Contains(f.Writes, s) {
			f.Live = append(f.Live, s)
		}
	}
	f.Reads = slices.DeleteFunc(f.Reads, func(s Slot) bool { return slices.Contains(f.Live, s) })
	for _, list := range [][]Slot{f.Reads, f.Writes, f.Live} {
		slices.Sort(list)
	}
	return f
}
