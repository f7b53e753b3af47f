package router

// Path is what one row went through: the experts of each layer by rank, with their gates.
type Path struct {
	Start  []int32   // [layers+1]: the pairs of layer l are Start[l] to Start[l+1]-1
	Expert []int32   // [pairs]
	Gate   []float32 // [pairs]: the weights of the experts' outputs
}

// Layers is the number of layers.
func (p Path) Layers() int { return max(len(p.Start)-1, 0) }

// At is the experts of a layer by rank, and their gates. The slices are those of the path.
func (p Path) At(layer int) (experts []int32, gates []float32) {
	from, to := p.Start[layer], p.Start[layer+1]
	return p.Expert[from:to:to], p.Gate[from:to:to]
}

// RowRouting is the path of one token of a sequence.
type RowRouting struct {
	Position int   // in the sequence, from 0
	Token    int32 // that was fed there; the logits behind it are about Position+1
	Path     Path
}
