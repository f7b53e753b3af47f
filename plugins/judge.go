package plugins

import (
	"fmt"
	"math"
	"unsafe"

	"troupe/kernels"
	"troupe/tensor"
)

// judge looks for outputs, and keys and values, that are not finite, which those that a kernel leaves out are as well. They are a lie
// where everything that went in is of a size from which no op of the table makes such numbers.
func (k *Kernel) judge(f *kernels.Frame) error {
	for s := range k.buffers {
		b := &k.buffers[s]
		if b.to == nil || finite(b.mine) {
			continue
		}
		if !k.moderate(f) {
			return nil
		}
		at := 0
		for at < len(b.mine)-1 && !math.IsNaN(float64(b.mine[at])) && !math.IsInf(float64(b.mine[at]), 0) {
			at++
		}
		return fmt.Errorf("element %d of buffer %d is %v, or was not written, while all inputs are finite", at, s, b.mine[at])
	}
	if len(k.views) > 0 {
		return k.lib.caches.judgeStored(k, f)
	}
	return nil
}

// judgeStored looks at the keys and values that the rows have stored.
func (s *caches) judgeStored(k *Kernel, f *kernels.Frame) error {
	g := geometryOf(f.Cache)
	for i := range k.views {
		u := &k.views[i]
		for r := range f.Rows.N {
			keys, values, pos := s.stored(u, g, &f.Rows, r)
			ok := false
			if f.Cache.Half {
				ok = positionFinite(f.Cache, numbers[uint16](keys), numbers[uint16](values), pos, 0x7f80)
			} else {
				ok = positionFinite(f.Cache, numbers[uint32](keys), numbers[uint32](values), pos, 0x7f800000)
			}
			if !ok && k.moderate(f) {
				return fmt.Errorf("attend: layer %d: what is stored for row %d is not finite, while all inputs are", u.layer, r)
			}
		}
	}
	return nil
}

// positionFinite looks at one position of a block: no exponent is all ones.
func positionFinite[T uint16 | uint32](c *kernels.Cache, keys, values []T, pos int, exponent T) bool {
	const n = kernels.BlockTokens
	for h := range c.KVHeads {
		at := h * c.KeySize * n
		for d, v := range values[at+pos*c.KeySize:][:c.KeySize] {
			if v&exponent == exponent || keys[at+d*n+pos]&exponent == exponent {
				return false
			}
		}
	}
	return true
}

// finite tells whether all numbers are: none has an exponent of ones. Two at a time, the exponents plus one
// overflow into the sign bits of those that are not.
func finite(f []float32) bool {
	const exponent, one, sign = 0x7fffffff_7fffffff, 0x00800000_00800000, 0x80000000_80000000
	bad := uint64(0)
	var pairs [][4]uint64
	if n := len(f) / 8; n > 0 { // less memory must not be looked at as an array
		pairs = unsafe.Slice((*[4]uint64)(unsafe.Pointer(unsafe.SliceData(f))), n)
	}
	for i := range pairs {
		p := &pairs[i]
		bad |= (p[0]&exponent + one) | (p[1]&exponent + one) | (p[2]&exponent + one) | (p[3]&exponent + one)
	}
	for _, v := range f[len(pairs)*8:] {
		bad |= uint64(math.Float32bits(v)&0x7fffffff + 0x00800000)
	}
	return bad&sign == 0
}

// Sizes below which the largest chain of a segment, an expert's three matrices of 2^15 inputs, stays finite.
const (
	moderateInput  = 1 << 16 // and of keys and values
	moderateWeight = 1 << 8  // of an int8 weight, 127 times its scale
)

// moderate tells whether inputs and weights are below those sizes. It is called when something is odd already.
func (k *Kernel) moderate(f *kernels.Frame) bool {
	for s, use := range k.slots {
		if (use == reads || use == live) && !below(f.Bufs[s], moderateInput) {
			return false
		}
	}
	if !below(f.Pairs.Gate, moderateInput) {
		return false
	}
	for i := range k.views {
		if !k.views[i].moderate(f) {
			return false
		}
	}
	for i := range k.calls {
		c := &k.calls[i]
		if c.Op == kernels.RMSNorm && c.Eps <= 0 || c.Op == kernels.Attend && (c.Cap <= 0 || !seeing(&f.Rows)) {
			return false // 0/0 may be right
		}
		for _, w := range c.Weights {
			if !below(w.F, moderateWeight) || !below(w.Scales, moderateWeight/128) {
				return false
			}
		}
	}
	return true
}

// seeing tells whether every row has a key that it may see.
func seeing(rows *kernels.Rows) bool {
	for r := range rows.N {
		keys := rows.Pos[r] + 1 - rows.First[r]
		if rows.Keyless[r] > 0 {
			continue
		}
		if rows.Prompt[r] {
			for _, pos := range rows.Skip[rows.Seq[r]] {
				if pos >= rows.First[r] && pos <= rows.Pos[r] {
					keys--
				}
			}
		}
		if keys <= 0 {
			return false
		}
	}
	return true
}

// moderate tells whether all keys and values that the rows may see are; positions that this call writes are among
// its inputs, and may hold anything here.
func (u *cacheUse) moderate(f *kernels.Frame) bool {
	c := f.Cache
	const n = kernels.BlockTokens
	size := c.BlockSize()
	for r := range f.Rows.N {
		for pos := range max(int(f.Rows.Pos[r])+1, int(f.Rows.Keyless[r])) {
			block := int(f.Rows.Tables[f.Rows.Seq[r]][pos/n]) * size
			for h := range c.KVHeads {
				for d := range c.KeySize {
					key, value := block+(h*c.KeySize+d)*n+pos%n, block+(h*n+pos%n)*c.KeySize+d
					if !u.below(c.Half, key, value) {
						return false
					}
				}
			}
		}
	}
	return true
}

func (u *cacheUse) below(half bool, key, value int) bool {
	if half {
		return below([]float32{tensor.FromBF16(numbers[uint16](u.keys)[key]), tensor.FromBF16(numbers[uint16](u.values)[value])}, moderateInput)
	}
	return below([]float32{numbers[float32](u.keys)[key], numbers[float32](u.values)[value]}, moderateInput)
}

// below tells whether all magnitudes are; NaN is not.
func below(f []float32, limit float32) bool {
	for _, v := range f {
		if !(v < limit && v > -limit) {
			return false
		}
	}
	return true
}
