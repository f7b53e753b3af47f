package sim

import (
	"math"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages/place"
)

// fitted is what a machine takes, as measured runs on one device tell.
type fitted struct {
	bandwidth, flops    float64
	call, position, hop time.Duration
}

// traced is a traced run on one device.
type traced struct {
	streams int
	turns   []actors.Turn
	round   time.Duration
}

// fit solves t = a·calls + bytes/bandwidth + c·positions + operations/flops for the decode turns of runs on one device, in
// the least squares. A hop is what is left of a round of the first run, for each of its turns.
func fit(c model.Config, q place.Quantities, runs ...traced) (f fitted) {
	k := newCosts(c, q)
	var a [unknowns][unknowns]float64
	var b [unknowns]float64
	for at, run := range runs {
		var inside, number float64
		seen := map[uint64]bool{}
		for _, t := range run.turns {
			if t.Batch <= uint64(run.streams) || t.Rows > run.streams {
				continue // prompts
			}
			seen[t.Batch] = true
			x, d := k.turn(c, t, calPrompt+int(t.Batch)-run.streams), (t.End - t.Begin).Seconds()
			inside, number = inside+d, number+1
			for i := range x { // relative errors count: short turns are as good as long ones
				for j := range x {
					a[i][j] += x[i] * x[j] / (d * d)
				}
				b[i] += x[i] / d
			}
		}
		if at == 0 {
			f.hop = max(0, seconds((run.round.Seconds()*float64(len(seen))-inside)/number))
		}
	}
	s := solve(a, b)
	f.call, f.bandwidth, f.position, f.flops = max(0, seconds(s[0])), 1/s[1], max(0, seconds(s[2])), max(0, 1/s[3])
	return f
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

const unknowns = 4

// turn is what a decode turn takes: calls, bytes, positions looked back on, operations.
func (k *costs) turn(c model.Config, t actors.Turn, back int) (x [unknowns]float64) {
	rows := float64(t.Rows)
	add := func(v need) {
		x[0]++
		x[1] += v.bytes
		x[3] += v.flops
	}
	weights := func(steps []model.Step) {
		for _, s := range steps {
			var v need
			for _, name := range s.Weights {
				v.bytes, v.flops = v.bytes+k.tensors[name].bytes, v.flops+rows*k.tensors[name].flops
			}
			if s.Op == kernels.Linear || s.Op == kernels.Route || s.Op == kernels.Expert {
				add(v)
			}
		}
	}
	plan := model.NewPlan(c)
	if t.Expert >= 0 {
		weights([]model.Step{plan.Expert(t.Layer)})
		return x
	}
	if t.Layer == 0 {
		add(need{bytes: rows * k.row})
	}
	if t.Layer == c.Model.NumLayers {
		add(need{k.head.bytes, rows * k.head.flops})
		return x
	}
	weights(plan.Before(t.Layer))
	x[2] = rows * float64(back)
	add(need{k.position.bytes * x[2], k.position.flops * x[2]})
	return x
}

// solve is Gauss's elimination with scaled columns.
func solve(a [unknowns][unknowns]float64, b [unknowns]float64) (x [unknowns]float64) {
	var scale [unknowns]float64
	for i := range a {
		scale[i] = 1 / math.Sqrt(max(a[i][i], math.SmallestNonzeroFloat64))
	}
	for i := range a {
		for j := range a {
			a[i][j] *= scale[i] * scale[j]
		}
		b[i] *= scale[i]
	}
	for i := range unknowns {
		for r := i + 1; r < unknowns; r++ {
			m := a[r][i] / a[i][i]
			for j := i; j < unknowns; j++ {
				a[r][j] -= m * a[i][j]
			}
			b[r] -= m * b[i]
		}
	}
	for i := unknowns - 1; i >= 0; i-- {
		for j := i + 1; j < unknowns; j++ {
			b[i] -= a[i][j] * x[j]
		}
		x[i] = b[i] / a[i][i]
	}
	for i := range x {
		x[i] *= scale[i]
	}
	return x
}
