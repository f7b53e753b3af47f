package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
)

func (p *program) kernelsCommand() *cli.Command {
	return &cli.Command{
		Name: "kernels", Usage: "kernel libraries: what computes the model",
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "libraries, and their scores on this machine",
			Description: `The library with the highest score computes everything, unless --kernels says
otherwise: "ref", or "attend@0-3=ref,expert=cpu/generic".`,
			Flags:  []cli.Flag{jsonFlag("print the list as JSON")},
			Action: p.kernelsList,
		}, p.kernelsTestCommand(), p.kernelsBenchCommand()},
	}
}

// libraryReport is what the list tells of a library.
type libraryReport struct {
	Name    string   `json:"name"`
	Doc     string   `json:"doc"`
	Score   int      `json:"score"`           // 0: cannot run here
	Needs   string   `json:"needs,omitempty"` // of the machine
	Panels  bool     `json:"prefers_panels"`  // repack pickles for it
	Version string   `json:"version,omitempty"`
	Promise string   `json:"promise,omitempty"` // "identical" to ref bit for bit, or "close"
	Ops     []string `json:"ops,omitempty"`
}

func (p *program) kernelsList(c *cli.Context) error {
	var list []libraryReport
	for _, v := range kernels.Variants() {
		r := libraryReport{Name: v.Name, Doc: v.Doc, Score: v.Score(), Needs: v.Needs, Panels: v.Panels}
		if r.Score > 0 {
			if err := r.open(v); err != nil {
				return err
			}
		}
		list = append(list, r)
	}
	if c.Bool("json") {
		return writeJSON(p.out, list)
	}
	var rows [][]string
	for _, r := range list {
		ops := strings.Join(r.Ops, " ")
		if len(r.Ops) == int(kernels.NumOps) {
			ops = "all"
		}
		doc := r.Doc
		if r.Score == 0 {
			doc = "not here: it needs " + r.Needs
		}
		rows = append(rows, []string{r.Name, fmt.Sprint(r.Score), r.Promise, ops, doc})
	}
	_, err := io.WriteString(p.out, p.tableOf([]string{"Library", "Score", "Result", "Ops", ""}, rows, 1))
	return err
}

// open asks the library itself.
func (r *libraryReport) open(v kernels.Variant) error {
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	info := lib.Info()
	r.Version, r.Promise = info.Version, promiseName(info.Promise)
	for _, op := range info.Ops {
		r.Ops = append(r.Ops, kernels.Table[op].Name)
	}
	return lib.Close()
}
