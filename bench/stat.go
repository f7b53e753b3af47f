package bench

import "slices"

// Stat sums up samples.
type Stat struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// StatOf sums up; without samples everything is 0.
func StatOf(samples []float64) Stat {
	if len(samples) == 0 {
		return Stat{}
	}
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	return Stat{Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1]}
}

// StatBy sums up a number of each element.
func StatBy[T any](list []T, of func(T) float64) Stat {
	samples := make([]float64, len(list))
	for i, v := range list {
		samples[i] = of(v)
	}
	return StatOf(samples)
}

// ratio is a / b, and 0 where there is no b: JSON has no infinity.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
