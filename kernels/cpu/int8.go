package cpu

func int8Block(s *scratch, sums []int32, q *quantRows, r0, r1, lo, hi int, w []int8, stride, cols int) {
	clear(sums)
	for r := r0; r < r1; r++ {
		sum := sums[(r-r0)*cols:][:cols]
		x := q.row(r)
		for k := lo; k < hi; k++ {
			v := int32(x[k])
			for c, b := range w[(k-lo)*stride:][:cols] {
				sum[c] += v * int32(b)
			}
		}
	}
}
