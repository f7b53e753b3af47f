package stages

import (
	"fmt"
	"math"
	"slices"
)

// draw answers every Draw of the batch from its logits (N4).
func (s *Stage) draw(b *Batch) {
	logits, v := b.Frame.Bufs[s.plan.Logits], s.config.VocabSize
	for i, d := range b.Draws {
		row := logits[i*v : (i+1)*v]
		switch d.Kind {
		case Score:
			b.Drawn = append(b.Drawn, score(row, d.Target))
		case Logits:
			b.Drawn = append(b.Drawn, Drawn{Logits: slices.Clone(row)})
		default:
			t, err := s.drawer.Draw(row, d.Params, d.Position, d.Step)
			b.Drawn = append(b.Drawn, Drawn{Token: t.Token, LogProb: t.LogProb, Err: err})
		}
	}
}

// score is the log probability of a token: logit - log sum exp, in float64.
func score(logits []float32, token int32) Drawn {
	top := slices.Max(logits)
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l - top))
	}
	lp := float32(float64(logits[token]-top) - math.Log(sum))
	if lp != lp {
		return Drawn{Token: token, Err: fmt.Errorf("stages: logits hold NaN or only infinities: the weights or the arithmetic overflow")}
	}
	return Drawn{Token: token, LogProb: lp}
}
