package sample

import (
	"math"
	"strings"
	"testing"
)

func TestSamplerNames(t *testing.T) {
	for _, s := range []Sampler{Exact, JAXF32, JAXBF16} {
		if got, err := ParseSampler(s.String()); err != nil || got != s {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	if _, err := ParseSampler("jax"); err == nil || !strings.Contains(err.Error(), `"jax", want exact, jax-f32 or jax-bf16`) {
		t.Errorf("error %v", err)
	}
	if got := Sampler(9).String(); got != "sampler(9)" {
		t.Errorf("a sampler that is none is called %q", got)
	}
}

func TestValidate(t *testing.T) {
	with := func(change func(*Params)) Params {
		p := Defaults()
		change(&p)
		return p
	}
	jax := func(p Params) Params { p.Sampler = JAXF32; return p }
	for _, p := range []Params{
		Defaults(), jax(Defaults()),
		with(func(p *Params) { p.Temperature = 0 }),
		with(func(p *Params) { p.Temperature = math.SmallestNonzeroFloat64 }),
		with(func(p *Params) { p.Temperature = math.MaxFloat64 }),
		with(func(p *Params) { p.TopK = math.MaxInt }),
		with(func(p *Params) { p.TopP = math.SmallestNonzeroFloat64 }),
		with(func(p *Params) { p.MinP = 1 }),
		with(func(p *Params) { p.Seed = math.MaxUint64; p.Sampler = JAXBF16 }),
		jax(with(func(p *Params) { p.Temperature = 0 })),
		jax(with(func(p *Params) { p.Temperature = .01 })),
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, tt := range []struct {
		p    Params
		want string
	}{
		{with(func(p *Params) { p.Temperature = -.1 }), "temperature -0.1"},
		{with(func(p *Params) { p.Temperature = math.NaN() }), "temperature NaN"},
		{with(func(p *Params) { p.Temperature = math.Inf(1) }), "temperature +Inf"},
		{with(func(p *Params) { p.TopK = -1 }), "top-k -1"},
		{with(func(p *Params) { p.TopP = 0 }), "top-p 0"},
		{with(func(p *Params) { p.TopP = 1.1 }), "top-p 1.1"},
		{with(func(p *Params) { p.TopP = math.NaN() }), "top-p NaN"},
		{with(func(p *Params) { p.MinP = -.1 }), "min-p -0.1"},
		{with(func(p *Params) { p.MinP = 1.1 }), "min-p 1.1"},
		{with(func(p *Params) { p.MinP = math.NaN() }), "min-p NaN"},
		{with(func(p *Params) { p.Sampler = 3 }), "sampler(3), want exact"},
		{jax(with(func(p *Params) { p.TopK = 5 })), "top-k 5 with sampler jax-f32"},
		{jax(with(func(p *Params) { p.MinP = .1 })), "min-p 0.1 with sampler jax-f32"},
		{jax(with(func(p *Params) { p.Temperature = 1e-300 })), "temperature 1e-300 with sampler jax-f32"},
		{jax(with(func(p *Params) { p.Temperature = 1e300 })), "temperature 1e+300 with sampler jax-f32"},
	} {
		if err := tt.p.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want one with %q", tt.p, err, tt.want)
		}
	}
}
