package actors

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseChaos(t *testing.T) {
	for spec, want := range map[string]Chaos{
		"kill stage=2 token=57; kill expert=3.5 token=80; kill router=1 token=9": {Kills: []Kill{
			{Part{Kind: RouterPart, Index: 1}, 9}, {Part{Kind: StagePart, Index: 2}, 57}, {Part{ExpertPart, 3, 5}, 80}}},
		" kill  stage=0  token=1 ;":        {Kills: []Kill{{Part{}, 1}}},
		"random:7,0.25":                    {Seed: 7, Rate: 0.25},
		"random: 18446744073709551615 , 1": {Seed: 1<<64 - 1, Rate: 1},
	} {
		if got, err := ParseChaos(spec); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", spec, got, err, want)
		}
	}
	for spec, want := range map[string]string{
		"":                       "nothing is to die",
		";":                      "nothing is to die",
		"stage=1 token=2":        "not a kill with a part and a token",
		"kill stage=1":           "not a kill with a part and a token",
		"kill head=1 token=2":    `"head" is not one of stage, router, expert`,
		"kill stage=x token=2":   `stage "x" is not a number`,
		"kill stage=1.2 token=2": `stage "1.2" is not a number`,
		"kill stage=-1 token=2":  `stage "-1" is not a number`,
		"kill router= token=2":   `router "" is not the number of its stage`,
		"kill expert=3 token=2":  `expert "3" is not LAYER.EXPERT`,
		"kill expert=3. token=2": `expert "3." is not LAYER.EXPERT`,
		"kill stage=1 token=0":   `"token=0" is not token= with a number from 1`,
		"kill stage=1 at=5":      `"at=5" is not token= with a number from 1`,
		"random:7":               "want a seed, a comma and a rate",
		"random:x,1":             "want a seed, a comma and a rate",
		"random:7,1.5":           `rate "1.5" is not a number from 0 to 1`,
		"random:7,NaN":           `rate "NaN" is not a number from 0 to 1`,
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
		if err := (Chaos{Kills: []Kill{{part, 1}}}).Check(2, 5, 8); (err == nil) != ok {
			t.Errorf("%v of 2 stages and 5 layers of 8 experts: %v", part, err)
		}
	}
}

// FuzzParseChaos: whatever is read can be written again in its own words.
func FuzzParseChaos(f *testing.F) {
	f.Add("kill stage=2 token=57; kill expert=3.5 token=80")
	f.Add("random:7,0.25")
	f.Fuzz(func(t *testing.T, spec string) {
		c, err := ParseChaos(spec)
		if err != nil || c.Kills == nil {
			return
		}
		var words []string
		for _, k := range c.Kills {
			words = append(words, k.String())
		}
		again, err := ParseChaos(strings.Join(words, ";"))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q: %+v, again %+v, %v", spec, c, again, err)
		}
	})
}
