package plot

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// ticks are at round numbers, each with its label: steps are 1, 2 or 5 times a power of ten.
type ticks struct {
	whole bool // whole numbers alone
	many  int  // about so many
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / float64(t.many))
	if t.whole {
		step = max(math.Round(step), 1)
	}
	var list []plot.Tick
	for i := math.Ceil(low/step-1e-9) + 0; i*step <= high+1e-9*step && len(list) < 100; i++ {
		v := i * step
		list = append(list, plot.Tick{Value: v, Label: number(v, step)})
	}
	return list
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is no smaller.
func roundStep(step float64) float64 {
	if !(step > 0) || math.IsInf(step, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// number writes v with the decimals that the step needs.
func number(v, step float64) string {
	if math.Abs(v) >= 1e7 || v != 0 && math.Abs(v) < 1e-5 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if v < 0 {
		s = "−" + s[1:]
	}
	return s
}

// span is the least and the greatest of numbers; ok is false without any.
type span struct {
	low, high float64
	ok        bool
}

func (s *span) add(values ...float64) {
	for _, v := range values {
		if !isFinite(v) {
			continue
		}
		if !s.ok {
			*s = span{v, v, true}
		}
		s.low, s.high = min(s.low, v), max(s.high, v)
	}
}

// widened has room on both sides, a part of the span each, and is never empty.
func (s span) widened(part float64) (low, high float64) {
	if !s.ok {
		return 0, 1
	}
	room := (s.high - s.low) * part
	if room == 0 {
		room = max(math.Abs(s.high)*part, 1e-9)
	}
	return s.low - room, s.high + room
}
