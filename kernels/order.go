package kernels

// The canonical reduction order (N1). Every variant of every tier follows it, so that all give the same
// bits. No fused multiply-add anywhere: each product is rounded to float32, then added. In Go that is
// written float32(a*b) + c, which the language forbids to fuse.
//
// Blocks of inputs. The inputs K of a matrix fall into its scale groups of K/groups rows (one group
// when it has a single scale row or none); each group is cut from its start into blocks of BlockRows
// rows, the last one shorter. With sums that start at +0:
//
//	block sum   s = s + x[k]*w[k]          k ascending
//	group sum   t = t + s                  (Int8: t = t + float32(s)*xscale, s an int32 sum)
//	output      y = y + t*scale[group]     groups ascending; without scales y = t
//
// Lane sums. Element i of a vector goes to lane i mod Lanes, each lane sums in ascending order from +0;
// then lanes fold by halves: lane j += lane j+8, then j+4, j+2, j+1.
//
// Keys. Attention takes keys in blocks of BlockKeys from position 0, whatever the batch. Since the cap
// bounds every logit, exp(logit - cap) needs no running maximum. Within a block the weights' sum is a
// lane sum, the weighted values are summed over ascending positions; blocks are added left to right.
const (
	BlockRows = 128 // inputs in a block, at most
	BlockKeys = 128 // keys in a block
	Lanes     = 16
)

// Blocks calls f for every block of inputs of a matrix with k inputs in the given number of scale
// groups, in order: rows lo to hi-1 of group g.
func Blocks(k, groups int, f func(g, lo, hi int)) {
	groups = max(groups, 1)
	rows := k / groups
	for g := range groups {
		for lo := 0; lo < rows; lo += BlockRows {
			f(g, g*rows+lo, g*rows+min(lo+BlockRows, rows))
		}
	}
}

// NumBlocks is how often Blocks calls its function.
func NumBlocks(k, groups int) int {
	groups = max(groups, 1)
	return groups * ((k/groups + BlockRows - 1) / BlockRows)
}
