package actors

import (
	"cmp"
	"errors"
	"fmt"
	"math"
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
	Harms []Harm // to workers and links, in order of Token
	// Rate is the chance of each new token to be followed by the death of a part, any of them with the same chance,
	// drawn from Seed.
	Rate float64
	Seed uint64
}

// Kill is one death on purpose.
type Kill struct {
	Part  Part
	Token uint64 // when so many have been made by all requests together
	// Stop has the part take no messages for so long, in the place of its death. 0: it dies.
	Stop time.Duration
}

// String is the kill as ParseChaos reads it.
func (k Kill) String() string {
	if k.Stop > 0 {
		return fmt.Sprintf("stop %v token=%d for=%v", k.Part, k.Token, k.Stop)
	}
	return fmt.Sprintf("kill %v token=%d", k.Part, k.Token)
}

// Outcome is what came of an injury.
type Outcome string

// What may come of it.
const (
	Unnoticed Outcome = "unnoticed" // the run ended first, or the part died of something else
	WasDead   Outcome = "was dead"  // it met a part that had just died
	Recovered Outcome = "recovered"
)

// Injury is a kill or a harm that was carried out.
type Injury struct {
	Kill
	Harm      *Harm // nil: a kill
	Outcome   Outcome
	Noticed   time.Duration // after the death
	Recovered time.Duration // after the death; see Recovery
	Replayed  int           // rows; see Recovery
}

// ChaosGrammar says what ParseChaos reads.
const ChaosGrammar = `want kills "kill stage=2 token=57; kill expert=3.5 token=80; kill router=1 token=9" (expert=LAYER.EXPERT; token: new tokens made before it), "stop expert=3.5 token=80 for=1s", ` +
	`with workers "kill worker=0 token=20", "stop worker=0 token=20 for=5s", "delay link=1 ms=200 for=3s", "drop link=1 token=30 for=5s" (numbers in the order of --workers), or "random:SEED,RATE" with a rate from 0 to 1 per token`

// ParseChaos reads a specification.
func ParseChaos(spec string) (Chaos, error) {
	c, err := parseChaos(strings.TrimSpace(spec))
	if err != nil {
		return Chaos{}, fmt.Errorf("%w: %s", err, ChaosGrammar)
	}
	slices.SortStableFunc(c.Kills, func(a, b Kill) int { return cmp.Compare(a.Token, b.Token) })
	slices.SortStableFunc(c.Harms, func(a, b Harm) int { return cmp.Compare(a.Token, b.Token) })
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
		if err := c.parse(text); err != nil {
			return c, fmt.Errorf("%q: %w", strings.TrimSpace(text), err)
		}
	}
	if c.Kills == nil && c.Harms == nil {
		return c, fmt.Errorf("%q: nothing is to happen", spec)
	}
	return c, nil
}

// parse reads one deed: what is done, to whom, and how.
func (c *Chaos) parse(text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return errors.New("not a deed and whom it is done to")
	}
	h := Harm{Deed: Deed(words[0])}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "token":
			if h.Token, err = strconv.ParseUint(value, 10, 63); err == nil && h.Token == 0 {
				err = errors.New("0")
			}
		case "ms":
			var ms float64
			if ms, err = strconv.ParseFloat(value, 64); err == nil && !(ms > 0 && ms <= 1e6) {
				err = errors.New("out of range")
			}
			h.By = time.Duration(math.Round(ms * float64(time.Millisecond)))
		case "for":
			if h.For, err = time.ParseDuration(value); err == nil && h.For <= 0 {
				err = errors.New("not above 0")
			}
		default:
			return fmt.Errorf("%q is not one of token=, ms=, for=", word)
		}
		if err != nil {
			return fmt.Errorf("%q is not token= with a number from 1, ms= with milliseconds, or for= with a time, as for=3s", word)
		}
	}
	what, which, _ := strings.Cut(words[1], "=")
	if what == "worker" || what == "link" {
		return c.addHarm(h, what, which)
	}
	return c.addKill(h, what, which)
}

func (c *Chaos) addHarm(h Harm, what, which string) (err error) {
	if h.Worker, err = strconv.Atoi(which); err != nil || h.Worker < 0 {
		return fmt.Errorf("%s %q is not a number from 0", what, which)
	}
	if fits := map[Deed]string{KillWorker: "worker", StopWorker: "worker", DelayLink: "link", DropLink: "link"}[h.Deed]; fits != what {
		return fmt.Errorf("%s is not done to a %s: want kill or stop for workers, delay or drop for links", h.Deed, what)
	}
	if err := h.check(); err != nil {
		return err
	}
	c.Harms = append(c.Harms, h)
	return nil
}

func (c *Chaos) addKill(h Harm, what, which string) (err error) {
	k := Kill{Token: h.Token, Stop: h.For}
	if k.Part, err = parsePart(what, which); err != nil {
		return err
	}
	switch {
	case h.Deed != KillWorker && h.Deed != StopWorker:
		return fmt.Errorf("%s is not done to a part: want kill or stop", h.Deed)
	case h.Token == 0:
		return errors.New("after how many tokens? give token=")
	case h.By > 0:
		return errors.New("ms= is for delay")
	case (h.Deed == StopWorker) != (h.For > 0):
		return errors.New("stop wants for=, as for=1s, and kill none")
	}
	c.Kills = append(c.Kills, k)
	return nil
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
	harms  []Harm // still to come
	rate   float64
	rng    *rand.Rand
	parts  []Part
	tokens uint64 // made so far
}

func newReaper(c *Chaos, k *keeper) *reaper {
	if c == nil {
		return nil
	}
	return &reaper{keeper: k, kills: slices.Clone(c.Kills), harms: slices.Clone(c.Harms), rate: c.Rate, rng: rand.New(rand.NewPCG(c.Seed, 0)), parts: k.parts()}
}

// reap has die who is to, now that so many tokens have been made. A nil reaper lets everyone live.
func (r *reaper) reap(tokens uint64) {
	if r == nil {
		return
	}
	for ; r.tokens < tokens; r.tokens++ {
		if r.rng.Float64() < r.rate {
			r.kill(Kill{Part: r.parts[r.rng.IntN(len(r.parts))], Token: r.tokens + 1})
		}
	}
	for len(r.kills) > 0 && r.kills[0].Token <= tokens {
		r.kill(r.kills[0])
		r.kills = r.kills[1:]
	}
	for len(r.harms) > 0 && r.harms[0].Token <= tokens {
		h := r.harms[0]
		r.harms = r.harms[1:]
		i := &Injury{Kill: Kill{Token: h.Token}, Harm: &h, Outcome: Unnoticed}
		r.keeper.chronicle.injure(i)
		if !r.keeper.harm(h, i) {
			r.keeper.chronicle.outlived(i)
		}
	}
}

func (r *reaper) kill(k Kill) {
	i := &Injury{Kill: k, Outcome: Unnoticed}
	r.keeper.chronicle.injure(i)
	if !r.keeper.kill(k.Part, i) {
		r.keeper.chronicle.outlived(i)
	}
}
