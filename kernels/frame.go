package kernels

// Frame is the memory of one batch: what a kernel reads and writes. One holder at a time (M1).
type Frame struct {
	Rows  Rows
	Bufs  [][]float32 // by Slot; [rows width] unless the plan says per pair or per draw
	Cache *Cache      // Attend: the KV cache of the call's layer is Cache.Layers[call.Layer]
	Pairs Pairs       // Combine
	Work  Work        // Expert
}

// Rows says what each row of a batch is. All slices but Tables and Skip have one entry a row.
type Rows struct {
	N     int
	Token []int32 // token id
	Pos   []int32 // absolute position in its sequence
	Seq   []int32 // index into Tables and Skip
	// First is the first key the row may see: left padding before it is never a key.
	First []int32
	// Keyless is 0 for a row with keys. A row of left padding has none: it averages the values of
	// positions 0 to Keyless-1 (the reference's softmax over nothing but masked logits).
	Keyless []int32
	// Prompt tells rows of a prompt, for which the positions in Skip are not keys.
	Prompt []bool
	Draw   []int32 // [draws] rows whose logits are wanted, ascending

	Tables [][]int32 // [sequences] cache blocks in order of position, BlockTokens positions each
	Skip   [][]int32 // [sequences] ascending positions of pad tokens inside the prompt
}

// Pairs are the (row, rank) pairs of one layer's routing: row r owns pairs Start[r] to Start[r+1]-1,
// best expert first.
type Pairs struct {
	Start []int32   // [rows+1]
	Gate  []float32 // [pairs]
}

// Work is what one expert computes of a batch: rows of the input, and for each the pair that takes the
// result.
type Work struct{ Row, Dst []int32 }

// BlockTokens is the number of positions in one block of the KV cache.
const BlockTokens = 16

// Cache is the paged KV cache of a span of layers. A block holds BlockTokens positions of one layer:
//
//	keys   [KVHeads KeySize BlockTokens]   positions in lanes, so that one query meets 16 keys at once
//	values [KVHeads BlockTokens KeySize]
//
// Keys are stored after RoPE. Half tells that both are bfloat16, else float32.
type Cache struct {
	KVHeads, KeySize, Blocks int
	Half                     bool
	Layers                   []CacheLayer // by layer number of the model; empty outside the span
}

// CacheLayer holds one layer's keys and values, [Blocks] blocks; the pair in use follows Cache.Half.
type CacheLayer struct {
	K32, V32 []float32
	K16, V16 []uint16
}

// BlockSize is the number of keys' (or values') elements in one block of one layer.
func (c *Cache) BlockSize() int { return c.KVHeads * c.KeySize * BlockTokens }
