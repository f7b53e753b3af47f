package look

import "math"

// TotalVariation is ½ Σ |p - q| of two shares of the same length: the part of the load that would have to move to
// make them equal, 0 to 1.
func TotalVariation(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		sum += math.Abs(p[i] - q[i])
	}
	return sum / 2
}

// JensenShannon is the distance of two shares of the same length, 0 to 1: the square root of the mean divergence, in
// bits, of each from their mean m (Lin 1991; Endres and Schindelin 2003),
//
//	√(½ Σ p log₂(p/m) + ½ Σ q log₂(q/m)).
func JensenShannon(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		m := (p[i] + q[i]) / 2
		for _, v := range [2]float64{p[i], q[i]} {
			if v > 0 {
				sum += v * math.Log2(v/m)
			}
		}
	}
	return math.Sqrt(min(max(sum/2, 0), 1))
}
