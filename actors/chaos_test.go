package actors

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseChaos(t *testing.T) {
	for spec, want := range map[string]Chaos{
		"kill stage=2 token=57; kill expert=3.5 token=80; kill router=1 token=9": {Kills: []Kill{
			{Part: Part{Kind: RouterPart, Index: 1}, Token: 9}, {Part: Part{Kind: StagePart, Index: 2}, Token: 57}, {Part: Part{ExpertPart, 3, 5}, Token: 80}}},
		" kill  stage=0  token=1 ;": {Kills: []Kill{{Token: 1}}},
		"stop expert=3.5 token=80 for=1s; delay link=1 ms=200; stop worker=2 for=3s token=9; drop link=0 token=4 for=500ms; kill worker=1 token=7": {
			Kills: []Kill{{Part: Part{ExpertPart, 3, 5}, Token: 80, Stop: time.Second}},
			Harms: []Harm{{Deed: DelayLink, Worker: 1, By: 200 * time.Millisecond}, {Deed: DropLink, Token: 4, For: time.Second / 2}, {Deed: KillWorker, Worker: 1, Token: 7},
				{Deed: StopWorker, Worker: 2, Token: 9, For: 3 * time.Second}}},
		"random:7,0.25":                    {Seed: 7, Rate: 0.25},
		"random: 18446744073709551615 , 1": {Seed: 1<<64 - 1, Rate: 1},
	} {
		if got, err := ParseChaos(spec); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", spec, got, err, want)
		}
	}
	for spec, want := range map[string]string{
		"":                            "nothing is to happen",
		";":                           "nothing is to happen",
		"stage=1 token=2":             `"token" is not one of stage`,
		"kill stage=1":                "after how many tokens",
		"kill":                        "not a deed and whom",
		"kill worker=x":               "is not a number from 0",
		"kill link=1":                 "not done to a link",
		"delay worker=1 ms=3":         "not done to a worker",
		"delay link=1":                "by how much",
		"delay link=1 ms=-1":          "ms= with milliseconds",
		"drop link=1":                 "for how long",
		"drop link=1 for=0s":          "for= with a time",
		"stop stage=1 token=2":        "stop wants for=",
		"kill stage=1 token=2 for=1s": "kill none",
		"kill worker=1 for=1s":        "leave for= out",
		"delay stage=1 token=1":       "not done to a part",
		"kill head=1 token=2":         `"head" is not one of stage, router, expert`,
		"kill stage=x token=2":        `stage "x" is not a number`,
		"kill stage=1.2 token=2":      `stage "1.2" is not a number`,
		"kill stage=-1 token=2":       `stage "-1" is not a number`,
		"kill router= token=2":        `router "" is not the number of its stage`,
		"kill expert=3 token=2":       `expert "3" is not LAYER.EXPERT`,
		"kill expert=3. token=2":      `expert "3." is not LAYER.EXPERT`,
		"kill stage=1 token=0":        `"token=0" is not token= with a number from 1`,
		"kill stage=1 at=5":           `"at=5" is not one of token=`,
		"random:7":                    "want a seed, a comma and a rate",
		"random:x,1":                  "want a seed, a comma and a rate",
		"random:7,1.5":                `rate "1.5" is not a number from 0 to 1`,
		"random:7,NaN":                `rate "NaN" is not a number from 0 to 1`,
		"kill stage=99999999999999999999 token=1": "is not a number",
	} {
		if _, err := ParseChaos(spec); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ChaosGrammar) {
			t.Errorf("%q: %v, want … %s … and the grammar", spec, err, want)
		}
	}
}

func TestChaosCheck(t *testing.T) {
	for part, ok := range map[Part]bool{
		{StagePart, 1, 0}: true, {StagePart, 2, 0}: false, {RouterPart, 2, 0}: false, {ExpertPart, 4, 7}: true,
		{ExpertPart, 5, 0}: false, {ExpertPart, 0, 8}: false,
	} {
		if err := (Chaos{Kills: []Kill{{Part: part, Token: 1}}}).Check(2, 5, 8); (err == nil) != ok {
			t.Errorf("%v of 2 stages and 5 layers of 8 experts: %v", part, err)
		}
	}
}

// FuzzParseChaos: whatever is read can be written again in its own words.
func FuzzParseChaos(f *testing.F) {
	f.Add("kill stage=2 token=57; kill expert=3.5 token=80")
	f.Add("random:7,0.25")
	f.Add("stop expert=3.5 token=80 for=1s; delay link=1 ms=0.3; stop worker=2 for=3s token=9; drop link=0 token=4 for=500ms")
	f.Fuzz(func(t *testing.T, spec string) {
		c, err := ParseChaos(spec)
		if err != nil || c.Kills == nil && c.Harms == nil {
			return
		}
		var words []string
		for _, k := range c.Kills {
			words = append(words, k.String())
		}
		for _, h := range c.Harms {
			words = append(words, h.String())
		}
		again, err := ParseChaos(strings.Join(words, ";"))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q: %+v, again %+v, %v", spec, c, again, err)
		}
	})
}
