package sample

import (
	"fmt"
	"math"
)

// Sampler is a way of drawing.
type Sampler uint8

// The samplers.
const (
	Exact   Sampler = iota // float64, noise of 32 bits a token keyed by seed and position
	JAXF32                 // the released sampler's keys and formulas, in float32
	JAXBF16                // the released sampler as it is, in bfloat16 and float32
)

var samplerNames = [...]string{Exact: "exact", JAXF32: "jax-f32", JAXBF16: "jax-bf16"}

func (s Sampler) String() string {
	if int(s) < len(samplerNames) {
		return samplerNames[s]
	}
	return fmt.Sprintf("sampler(%d)", uint8(s))
}

// ParseSampler reads the name of a sampler.
func ParseSampler(name string) (Sampler, error) {
	for s, n := range samplerNames {
		if n == name {
			return Sampler(s), nil
		}
	}
	return 0, fmt.Errorf("sample: sampler %q, want exact, jax-f32 or jax-bf16", name)
}

// Params say how to draw. [Defaults] is a start: the zero Params are not valid.
type Params struct {
	Temperature float64 // divides the logits; 0 is greedy: the largest logit, ties to the lowest id
	TopK        int     // tokens kept; 0 keeps all
	TopP        float64 // mass kept, in (0, 1]; 1 keeps all
	MinP        float64 // least probability kept, relative to the largest, in [0, 1]; 0 keeps all
	Seed        uint64  // the jax samplers use the lower 32 bits alone, as the reference does
	Sampler     Sampler
}

// Defaults draw from the model's own distribution, with the reference's seed.
func Defaults() Params { return Params{Temperature: 1, TopP: 1, Seed: 42} }

// Validate tells what of the parameters is out of range, or not offered by the sampler.
func (p Params) Validate() error {
	switch {
	case int(p.Sampler) >= len(samplerNames):
		return fmt.Errorf("sample: %v, want exact, jax-f32 or jax-bf16", p.Sampler)
	case !(p.Temperature >= 0 && p.Temperature <= math.MaxFloat64):
		return fmt.Errorf("sample: temperature %v, want a number from 0 (greedy) on", p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("sample: top-k %d, want 1 or more, or 0 to keep all", p.TopK)
	case !(p.TopP > 0 && p.TopP <= 1):
		return fmt.Errorf("sample: top-p %v, want more than 0, and at most 1, which keeps all", p.TopP)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return fmt.Errorf("sample: min-p %v, want 0 (keep all) to 1", p.MinP)
	}
	if p.Sampler == Exact {
		return nil
	}
	switch t := float32(p.Temperature); {
	case p.TopK != 0:
		return fmt.Errorf("sample: top-k %d with sampler %v, which has none: use sampler exact", p.TopK, p.Sampler)
	case p.MinP != 0:
		return fmt.Errorf("sample: min-p %v with sampler %v, which has none: use sampler exact", p.MinP, p.Sampler)
	case p.Temperature != 0 && (t < smallestF32 || t > math.MaxFloat32):
		return fmt.Errorf("sample: temperature %v with sampler %v, want 0 or a normal float32: use sampler exact", p.Temperature, p.Sampler)
	}
	return nil
}
