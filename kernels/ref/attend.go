package ref

import (
	"slices"

	"troupe/kernels"
	"troupe/tensor"
)

// attend stores the rows' keys and values in the cache, then for every query head
//
//	logit_j = cap * tanh(q·k_j * multiplier / cap)
//	y       = sum_j exp(logit_j - cap) v_j / sum_j exp(logit_j - cap)
//
// over the keys j that the row may see. Query heads share key heads in equal runs (arXiv 2305.13245).
// Reference rounds q·k to bfloat16, the softmax weights before they meet the values, and y.
func attend(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	q, k, v, y := f.Bufs[c.In[0]], f.Bufs[c.In[1]], f.Bufs[c.In[2]], f.Bufs[c.Out[0]]
	rows := &f.Rows
	for r := range rows.N {
		StoreKV(f.Cache, c.Layer, rows, r, k, v)
	}
	for r := range rows.N {
		for h := range c.Heads {
			at := (r*c.Heads + h) * c.KeySize
			attendHead(c, f, a, r, h/(c.Heads/c.KVHeads), q[at:at+c.KeySize], y[at:at+c.KeySize])
		}
	}
}

// StoreKV writes row r's keys and values, [rows KVHeads KeySize], to its place in the cache.
func StoreKV(cache *kernels.Cache, layer int, rows *kernels.Rows, r int, k, v []float32) {
	width, pos := cache.KVHeads*cache.KeySize, int(rows.Pos[r])
	l := &cache.Layers[layer]
	block := int(rows.Tables[rows.Seq[r]][pos/kernels.BlockTokens])
	for h := range cache.KVHeads {
		for d := range cache.KeySize {
			kv, vv := k[r*width+h*cache.KeySize+d], v[r*width+h*cache.KeySize+d]
			ki, vi := keyAt(cache, block, h, d, pos), valueAt(cache, block, h, d, pos)
			if cache.Half {
				l.K16[ki], l.V16[vi] = tensor.ToBF16(kv), tensor.ToBF16(vv)
			} else {
				l.K32[ki], l.V32[vi] = kv, vv
			}
		}
	}
}

func keyAt(c *kernels.Cache, block, head, d, pos int) int {
	return block*c.BlockSize() + (head*c.KeySize+d)*kernels.BlockTokens + pos%kernels.BlockTokens
}

func valueAt(c *kernels.Cache, block, head, d, pos int) int {
	return block*c.BlockSize() + (head*kernels.BlockTokens+pos%kernels.BlockTokens)*c.KeySize + d
}

func attendHead(c *kernels.Call, f *kernels.Frame, a kernels.Arith, r, kvHead int, q, y []float32) {
	rows, cache, l := &f.Rows, f.Cache, &f.Cache.Layers[c.Layer]
	seq := rows.Seq[r]
	keys := int(rows.Pos[r]) + 1
	if n := int(rows.Keyless[r]); n > 0 {
		keys = n
	}
	key := func(d, j int) float32 {
		at := keyAt(cache, int(rows.Tables[seq][j/kernels.BlockTokens]), kvHead, d, j)
		if cache.Half {
			return tensor.FromBF16(l.K16[at])
		}
		return l.K32[at]
	}
	value := func(d, j int) float32 {
		at := valueAt(cache, int(rows.Tables[seq][j/kernels.BlockTokens]), kvHead, d, j)
		if cache.Half {
			return tensor.FromBF16(l.V16[at])
		}
		return l.V32[at]
	}

	p := make([]float32, keys) // exp(logit - cap)
	for j := range p {
		switch {
		case rows.Keyless[r] > 0:
			p[j] = 1
		case Visible(rows, r, j):
			s := float32(0)
			for d := range q {
				s += float32(q[d] * key(d, j))
			}
			if a == kernels.Reference {
				s = tensor.RoundBF16(s)
			}
			p[j] = Exp(float32(c.Cap*Tanh(float32(s*c.Multiplier)/c.Cap)) - c.Cap)
		}
	}
	sum := float32(0)
	for lo := 0; lo < keys; lo += kernels.BlockKeys {
		var lanes [kernels.Lanes]float32
		for j := lo; j < min(lo+kernels.BlockKeys, keys); j++ {
			lanes[j%kernels.Lanes] += p[j]
		}
		sum += FoldLanes(&lanes)
	}
	if a == kernels.Reference {
		for j := range p {
			p[j] = tensor.RoundBF16(p[j] / sum)
		}
	}
	for d := range y {
		total := float32(0)
		for lo := 0; lo < keys; lo += kernels.BlockKeys {
			s := float32(0)
			for j := lo; j < min(lo+kernels.BlockKeys, keys); j++ {
				s += float32(p[j] * value(d, j))
			}
			total += s
		}
		if a == kernels.Reference {
			y[d] = tensor.RoundBF16(total)
		} else {
			y[d] = total / sum
		}
	}
}

// Visible reports whether row r may see the key at position j, up to its own position: left padding
// never, pad tokens inside the prompt only from generated rows.
func Visible(rows *kernels.Rows, r, j int) bool {
	if j < int(rows.First[r]) {
		return false
	}
	if !rows.Prompt[r] {
		return true
	}
	_, hidden := slices.BinarySearch(rows.Skip[rows.Seq[r]], int32(j))
	return !hidden
}
