package stages

// Look sees a batch at a layer when all parts are in and before they are added: the router's probabilities, the
// routing and the parts lie in it. It changes nothing and keeps nothing. It is for experiments and displays.
type Look func(layer int, b *Batch)
