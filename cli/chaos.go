package main

import (
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/actors"
)

// chaosFlags are the flags of run by which parts of the engine are killed, to see that nothing is lost by it.
func chaosFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "chaos", Category: engineCategory, DefaultText: "none",
			Usage: "`SPEC` kill parts of the engine: \"kill stage=1 token=57; kill expert=3.5 token=80; kill router=0 token=9\", stop them, kill or stop workers, delay or drop links (docs/hosts.md), or random:SEED,RATE a token"},
		&cli.StringFlag{Name: "chaos-report", Category: engineCategory, TakesFile: true, DefaultText: "standard error, in words",
			Usage: "`FILE` for what --chaos did and what came of it, one JSON object"},
		&cli.BoolFlag{Name: "chaos-check", Category: engineCategory, Usage: "run the requests again afterwards, in this process and undisturbed, and compare: the exit code is 1 where they differ"},
	}
}

// readChaos reads them.
func (l *launch) readChaos(c *cli.Context) error {
	if !c.IsSet("chaos") {
		if c.IsSet("chaos-report") {
			return usagef("--chaos-report without --chaos: there is nothing to report")
		}
		if c.Bool("chaos-check") {
			return usagef("--chaos-check without --chaos: there is nothing to compare")
		}
		return nil
	}
	chaos, err := actors.ParseChaos(c.String("chaos"))
	if err == nil {
		m := l.config.Model
		err = chaos.Check(len(l.placement.Stages), m.NumLayers, m.NumExperts)
	}
	if err != nil {
		return badFlag("chaos", err)
	}
	l.chaos = &chaos
	return nil
}

// chaosReport is what --chaos did; its names are a promise.
type chaosReport struct {
	Injected   []injuryReport `json:"injected"`
	NotReached []string       `json:"not_reached"` // kills whose token was never made, as --chaos reads them
	Losses     lossStats      `json:"losses"`
	Identical  *bool          `json:"identical,omitempty"` // to an undisturbed run, with --chaos-check
}

type injuryReport struct {
	Part      string  `json:"part"`         // or worker=N, link=N
	Deed      string  `json:"deed"`         // kill, stop, delay, drop
	Token     uint64  `json:"token"`        // new tokens made before it
	Outcome   string  `json:"outcome"`      // recovered, unnoticed, was dead
	Noticed   float64 `json:"noticed_ms"`   // after the death
	Recovered float64 `json:"recovered_ms"` // after the death, until all that was lost was on its way again
	Replayed  int     `json:"rows_computed_again"`
}

func chaosReportOf(l actors.Losses, wanted *actors.Chaos) chaosReport {
	r := chaosReport{Injected: []injuryReport{}, NotReached: []string{}, Losses: lossesOf(l)}
	kills, harms := 0, 0
	for _, i := range l.Injuries {
		deed, whom := "kill", i.Part.String()
		switch {
		case i.Harm != nil:
			deed, whom, harms = string(i.Harm.Deed), i.Harm.Whom(), harms+1
		case i.Stop > 0:
			deed, kills = "stop", kills+1
		default:
			kills++
		}
		r.Injected = append(r.Injected, injuryReport{whom, deed, i.Token, string(i.Outcome), millis(i.Noticed), millis(i.Recovered), i.Replayed})
	}
	for _, k := range wanted.Kills[min(kills, len(wanted.Kills)):] { // they are carried out in their order
		r.NotReached = append(r.NotReached, k.String())
	}
	for _, h := range wanted.Harms[min(harms, len(wanted.Harms)):] {
		r.NotReached = append(r.NotReached, h.String())
	}
	return r
}

// mostInjuries is how many are told one by one in words.
const mostInjuries = 20

// reportChaos tells what --chaos did, once the engine has ended.
func (p *program) reportChaos(c *cli.Context, l launch, s *session, g *generator, jobs []job) error {
	if l.chaos == nil {
		return nil
	}
	r := chaosReportOf(s.Losses(), l.chaos)
	if g.witness == nil || c.Context.Err() != nil {
		return p.writeChaos(c, r)
	}
	differs, err := p.undisturbed(c, l, g, jobs)
	if err == nil {
		same := differs == ""
		r.Identical = &same
	}
	if failed := p.writeChaos(c, r); err == nil {
		err = failed
	}
	if differs != "" {
		return fmt.Errorf("chaos: BUG: %s: please report it with the command", differs)
	}
	return err
}

// writeChaos writes the report where it is wanted.
func (p *program) writeChaos(c *cli.Context, r chaosReport) error {
	name := c.String("chaos-report")
	if name == "" {
		p.tellChaos(r)
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		p.tellChaos(r)
		return err
	}
	err = writeJSON(f, r)
	closeInto(&err, f.Close)
	return err
}

// tellChaos is the report in words.
func (p *program) tellChaos(r chaosReport) {
	for i, k := range r.Injected {
		if i == mostInjuries {
			p.notice("chaos: and %d more", len(r.Injected)-i)
			break
		}
		p.notice("chaos: %s", k)
	}
	for i, k := range r.NotReached {
		if i == mostInjuries {
			p.notice("chaos: and %d more that were not reached", len(r.NotReached)-i)
			break
		}
		p.notice("chaos: %s: not reached, fewer tokens were made", k)
	}
	if r.Identical != nil && *r.Identical {
		p.notice("chaos: run again undisturbed: identical")
	}
	n := r.Losses
	p.notice("chaos: %s, %s, %s: %s computed again, %s sent again, %d given up, the longest took %.3g ms", plural(len(r.Injected), "deed"), plural(n.Deaths, "death"),
		counted(n.Recoveries, "recovery", "recoveries"), plural(n.Replayed, "row"), counted(n.Resent, "batch", "batches"), n.GivenUp, n.Longest)
}

func (k injuryReport) String() string {
	done := map[string]string{"kill": "killed", "stop": "stopped", "delay": "delayed", "drop": "dropped"}[k.Deed]
	s := fmt.Sprintf("%s %s at token %d: %s", k.Part, done, k.Token, k.Outcome)
	if k.Outcome == string(actors.Recovered) {
		s += fmt.Sprintf(" after %.3g ms (noticed after %.3g), %s computed again", k.Recovered, k.Noticed, plural(k.Replayed, "row"))
	}
	return s
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
