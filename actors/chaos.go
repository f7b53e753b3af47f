package actors

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Chaos has parts die while the engine works, to see that nothing is lost by it. A part dies by a panic at its
// next turn: what follows is what would follow any other panic.
type Chaos struct {
	Kills []Kill // in order of Token
	// Rate is the chance of each new token to be followed by the death of a part, any of them with the same chance,
	// drawn from Seed.
	Rate float64
	Seed uint64
}

// Kill is one death on purpose.
type Kill struct {
	Part  Part
	Token uint64 // when so many have been made by all requests together
}

// String is the kill as ParseChaos reads it.
func (k Kill) String() string { return fmt.Sprintf("kill %v token=%d", k.Part, k.Token) }

// Outcome is what came of an injury.
type Outcome string

// What may come of it.
const (
	Unnoticed Outcome = "unnoticed" // the run ended first, or the part died of something else
	WasDead   Outcome = "was dead"  // it met a part that had just died
	Recovered Outcome = "recovered"
)

// Injury is a kill that was carried out.
type Injury struct {
	Kill
	Outcome   Outcome
	Noticed   time.Duration // after the death
	Recovered time.Duration // after the death; see Recovery
	Replayed  int           // rows; see Recovery
}

// ChaosGrammar says what ParseChaos reads.
const ChaosGrammar = `want kills "kill stage=2 token=57; kill expert=3.5 token=80; kill router=1 token=9" (expert=LAYER.EXPERT; token: new tokens made before it), or "random:SEED,RATE" with a rate from 0 to 1 per token`

// ParseChaos reads a specification.
func ParseChaos(spec string) (Chaos, error) {
	c, err := parseChaos(strings.TrimSpace(spec))
	if err != nil {
		return Chaos{}, fmt.Errorf("%w: %s", err, ChaosGrammar)
	}
	slices.SortStableFunc(c.Kills, func(a, b Kill) int { return cmp.Compare(a.Token, b.Token) })
	return c, nil
}

func parseChaos(spec string) (c Chaos, err error) {
	if text, ok := strings.CutPrefix(spec, "random:"); ok {
		seed, rate, found := strings.Cut(text, ",")
		if c.Seed, err = strconv.ParseUint(strings.TrimSpace(seed), 10, 64); err != nil || !found {
			return c, fmt.Errorf("%q: behind random: want a seed, a comma and a rate", spec)
		}
		if c.Rate, err = strconv.ParseFloat(strings.TrimSpace(rate), 64); err != nil || !(c.Rate >= 0 && c.Rate <= 1) {
			return c, fmt.Errorf("%q: rate %q is not a number from 0 to 1", spec, strings.TrimSpace(rate))
		}
		return c, nil
	}
	for text := range strings.SplitSeq(spec, ";") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		k, err := parseKill(text)
		if err != nil {
			return c, fmt.Errorf("%q: %w", strings.TrimSpace(text), err)
		}
		c.Kills = append(c.Kills, k)
	}
	if c.Kills == nil {
		return c, fmt.Errorf("%q: nothing is to die", spec)
	}
	return c, nil
}

func parseKill(text string) (k Kill, err error) {
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "kill" {
		return k, fmt.Errorf("not a kill with a part and a token")
	}
	what, which, _ := strings.Cut(words[1], "=")
	if k.Part, err = parsePart(what, which); err != nil {
		return k, err
	}
	token, ok := strings.CutPrefix(words[2], "token=")
	if k.Token, err = strconv.ParseUint(token, 10, 63); err != nil || !ok || k.Token == 0 {
		return k, fmt.Errorf("%q is not token= with a number from 1", words[2])
	}
	return k, nil
}

// ParsePart reads stage=2, router=1 or expert=3.5.
func ParsePart(s string) (Part, error) {
	what, which, _ := strings.Cut(strings.TrimSpace(s), "=")
	return parsePart(what, which)
}

func parsePart(what, which string) (p Part, err error) {
	index, expert, dotted := strings.Cut(which, ".")
	switch what {
	case "stage":
		p.Kind = StagePart
	case "router":
		p.Kind = RouterPart
	case "expert":
		p.Kind = ExpertPart
	default:
		return p, fmt.Errorf("%q is not one of stage, router, expert", what)
	}
	if p.Index, err = strconv.Atoi(index); err == nil && p.Kind == ExpertPart {
		p.Expert, err = strconv.Atoi(expert)
	}
	if err != nil || dotted != (p.Kind == ExpertPart) || p.Index < 0 || p.Expert < 0 {
		return p, fmt.Errorf("%s %q is not %s", what, which, map[Kind]string{StagePart: "a number", RouterPart: "the number of its stage", ExpertPart: "LAYER.EXPERT"}[p.Kind])
	}
	return p, nil
}

// Check reports parts that an engine of so many stages, layers and experts does not have.
func (c Chaos) Check(stages, layers, experts int) error {
	for _, k := range c.Kills {
		most := stages
		if k.Part.Kind == ExpertPart {
			most = layers
		}
		if k.Part.Index >= most || k.Part.Expert >= experts {
			return fmt.Errorf("actors: chaos: there is no %v: there are stages and routers 0 to %d, experts 0.0 to %d.%d", k.Part, stages-1, layers-1, experts-1)
		}
	}
	return nil
}

// reaper carries chaos out, in the head's turns.
type reaper struct {
	keeper *keeper
	kills  []Kill // still to come
	rate   float64
	rng    *rand.Rand
	parts  []Part
	tokens uint64 // made so far
}

func newReaper(c *Chaos, k *keeper) *reaper {
	if c == nil {
		return nil
	}
	return &reaper{keeper: k, kills: slices.Clone(c.Kills), rate: c.Rate, rng: rand.New(rand.NewPCG(c.Seed, 0)), parts: k.parts()}
}

// reap has die who is to, now that so many tokens have been made. A nil reaper lets everyone live.
func (r *reaper) reap(tokens uint64) {
	if r == nil {
		return
	}
	for ; r.tokens < tokens; r.tokens++ {
		if r.rng.Float64() < r.rate {
			r.kill(Kill{r.parts[r.rng.IntN(len(r.parts))], r.tokens + 1})
		}
	}
	for len(r.kills) > 0 && r.kills[0].Token <= tokens {
		r.kill(r.kills[0])
		r.kills = r.kills[1:]
	}
}

func (r *reaper) kill(k Kill) {
	i := &Injury{Kill: k, Outcome: Unnoticed}
	r.keeper.chronicle.injure(i)
	if !r.keeper.kill(k.Part, i) {
		r.keeper.chronicle.outlived(i)
	}
}
