package cpu

// loops are the inner loops of a variant: the arithmetic on long vectors. Each keeps to the canonical
// order, so that the variants agree bit for bit.
type loops struct {
	vectorLoops
	panels *panelLoops // nil: products and scores are those of the portable variant, on rows of weights
}
