//go:build cudacpu && cgo

package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"troupe/kernels"
	"troupe/tensor"
)

// attend runs the three kernels of attention on a copy of the cache, and copies the cache back.
func (r *run) attend(c *kernels.Call) {
	rows, cache := &r.f.Rows, r.f.Cache
	l := &cache.Layers[c.Layer]
	name, keys, values := "f32", unsafe.Pointer(nil), unsafe.Pointer(nil)
	if cache.Half {
		name, keys, values = "bf16", upload(r, l.K16), upload(r, l.V16)
	} else {
		keys, values = upload(r, l.K32), upload(r, l.V32)
	}
	tables, stride := r.tables()
	seq, pos := upload(r, rows.Seq), upload(r, rows.Pos)
	r.plane("store_"+name, r.slot(c.In[1]), r.slot(c.In[2]), seq, pos, tables, keys, values, rows.N, c.KVHeads, c.KeySize, stride)

	prompt := make([]int32, rows.N)
	most := 0
	for i, p := range rows.Prompt {
		if p {
			prompt[i] = 1
		}
		most = max(most, int(rows.Pos[i])+1, int(rows.Keyless[i]))
	}
	skip, start := []int32{}, []int32{0}
	for _, s := range rows.Skip {
		skip = append(skip, s...)
		start = append(start, int32(len(skip)))
	}
	first, keyless, prompts := upload(r, rows.First), upload(r, rows.Keyless), upload(r, prompt)
	skips, starts := upload(r, skip), upload(r, start)
	q, y, blocks := r.slot(c.In[0]), r.slot(c.Out[0]), ceil(most, kernels.BlockKeys)
	width := c.Heads * c.KeySize
	for lo := 0; lo < rows.N; lo += r.rowsOfAttend {
		n := min(r.rowsOfAttend, rows.N-lo)
		from := func(p unsafe.Pointer, words int) unsafe.Pointer { return unsafe.Add(p, 4*lo*words) }
		part := r.malloc(4 * n * c.Heads * blocks * (c.KeySize + 1))
		r.launch("attend_"+name, Grid{blocks, c.KVHeads, n}, r.block, from(q, width), keys, values, from(seq, 1), from(pos, 1), from(first, 1),
			from(keyless, 1), from(prompts, 1), tables, skips, starts, part, n, c.Heads, c.KVHeads, c.KeySize, stride, blocks,
			float64(c.Multiplier), float64(c.Cap))
		r.launch("attend_sum", Grid{c.Heads, n, 1}, r.wide, part, from(pos, 1), from(keyless, 1), from(y, width), n, c.Heads, c.KeySize, blocks)
	}
	if r.err != nil {
		return
	}
	copy(l.K16, view[uint16](keys, len(l.K16)))
	copy(l.V16, view[uint16](values, len(l.V16)))
	copy(l.K32, view[float32](keys, len(l.K32)))
	copy(l.V32, view[float32](values, len(l.V32)))
}

// tables is Rows.Tables as one array, and the stride of a sequence.
func (r *run) tables() (p unsafe.Pointer, stride int) {
	for _, t := range r.f.Rows.Tables {
		stride = max(stride, len(t))
	}
	all := make([]int32, stride*len(r.f.Rows.Tables))
	for i := range all {
		all[i] = -1 << 20 // never read
	}
	for i, t := range r.f.Rows.Tables {
		copy(all[i*stride:], t)
	}
	return upload(r, all), stride
}

// Attention on random shapes: more query heads and larger keys than are held at a time, several blocks of keys, sequences
// of every kind side by side.
func TestAttention(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for i := range 30 {
		l := ways[i%len(ways)]
		kv, size := 1+rng.IntN(3), 2*(1+rng.IntN(20))
		heads := kv * (1 + rng.IntN(4))
		switch i % 6 {
		case 0:
			heads = kv * (9 + rng.IntN(9))
		case 1:
			size = 130 + 2*rng.IntN(80)
		}
		f := attendFrame(rng, heads, kv, size, i%2 == 1)
		call := kernels.Call{Op: kernels.Attend, Layer: 1, In: []kernels.Slot{0, 1, 2}, Out: []kernels.Slot{3},
			Params: kernels.Params{Multiplier: 0.3, Cap: 30, Heads: heads, KVHeads: kv, KeySize: size}}
		if err := same(l, kernels.Exact, []kernels.Call{call}, f); err != nil {
			t.Errorf("%v heads=%d/%d size=%d half=%v rows=%d: %v", l, heads, kv, size, f.Cache.Half, f.Rows.N, err)
		}
	}
}

// attendFrame draws one to four sequences: prompts, parts of them, generated rows, left padding, pads inside.
func attendFrame(rng *rand.Rand, heads, kv, size int, half bool) *kernels.Frame {
	rows := &kernels.Rows{}
	blocks := 0
	var ends []int // of sequences: what lies behind in their last blocks is NaN
	for s := range 1 + rng.IntN(4) {
		lo := rng.IntN(300)
		hi, prompt, first := lo+1, rng.IntN(2) == 0, 0
		if prompt {
			hi += rng.IntN(12)
		}
		if rng.IntN(3) == 0 {
			first = rng.IntN(hi + 1)
		}
		var skip []int32
		for p := range hi {
			if rng.IntN(9) == 0 {
				skip = append(skip, int32(p))
			}
		}
		bucket := hi + rng.IntN(20)
		for pos := lo; pos < hi; pos++ {
			keyless := 0
			if pos < first {
				keyless = bucket
			}
			rows.Token, rows.Pos, rows.Seq = append(rows.Token, 0), append(rows.Pos, int32(pos)), append(rows.Seq, int32(s))
			rows.First, rows.Keyless, rows.Prompt = append(rows.First, int32(first)), append(rows.Keyless, int32(keyless)), append(rows.Prompt, prompt)
			rows.N++
		}
		var table []int32
		for range ceil(bucket, kernels.BlockTokens) {
			table = append(table, int32(blocks))
			blocks++
		}
		slices.Reverse(table)
		ends = append(ends, bucket)
		rows.Tables, rows.Skip = append(rows.Tables, table), append(rows.Skip, skip)
	}
	c := &kernels.Cache{KVHeads: kv, KeySize: size, Blocks: blocks, Half: half}
	for range 2 {
		k, v := floats(rng, blocks*c.BlockSize()), floats(rng, blocks*c.BlockSize())
		for i, end := range ends {
			table := rows.Tables[i]
			for pos := end; pos < len(table)*kernels.BlockTokens; pos++ {
				spoil(c, k, v, int(table[pos/kernels.BlockTokens]), pos%kernels.BlockTokens)
			}
		}
		if !half {
			c.Layers = append(c.Layers, kernels.CacheLayer{K32: k, V32: v})
			continue
		}
		l := kernels.CacheLayer{}
		for i := range k {
			l.K16, l.V16 = append(l.K16, tensor.ToBF16(k[i])), append(l.V16, tensor.ToBF16(v[i]))
		}
		c.Layers = append(c.Layers, l)
	}
	f := &kernels.Frame{Rows: *rows, Cache: c}
	for _, w := range []int{heads, kv, kv, heads} {
		f.Bufs = append(f.Bufs, floats(rng, rows.N*w*size))
	}
	return f
}

// spoil makes a place of a block NaN.
func spoil(c *kernels.Cache, k, v []float32, block, place int) {
	nan := float32(math.NaN())
	for i := range c.KVHeads * c.KeySize {
		h, d := i/c.KeySize, i%c.KeySize
		k[block*c.BlockSize()+i*kernels.BlockTokens+place] = nan
		v[block*c.BlockSize()+(h*kernels.BlockTokens+place)*c.KeySize+d] = nan
	}
}
