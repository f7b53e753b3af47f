package golden

import (
	"encoding/json"
	"os"
	"path/filepath"

	"troupe/internal/npy"
)

// Case is one recorded checkpoint with its outputs.
type Case struct {
	Name    string
	Dir     string
	Prompts []struct {
		ID         int  `json:"id"`
		Length     int  `json:"length"`
		Bucket     int  `json:"bucket"`
		NoNearTies bool `json:"near_ties_avoided"`
	} `json:"prompts"`
	TapPrompt int `json:"tap_prompt"`
	Edges     []struct {
		Name   string `json:"name"`
		Bucket int    `json:"bucket"`
	} `json:"edges"`
}

// Cases reads every case below dir.
func Cases(dir string) ([]*Case, error) {
	indexes, err := filepath.Glob(filepath.Join(dir, "*", "index.json"))
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, path := range indexes {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c := &Case{Dir: filepath.Dir(path)}
		c.Name = filepath.Base(c.Dir)
		if err := json.Unmarshal(raw, c); err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Array reads a recorded array.
func (c *Case) Array(name string) (*npy.Array, error) {
	return npy.ReadFile(filepath.Join(c.Dir, name+".npy"))
}
