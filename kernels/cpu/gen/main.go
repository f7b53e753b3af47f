// Command gen writes the assembly of kernels/cpu: go run . in this folder. A file of this folder is a
// unit, and becomes one assembly file with its Go declarations. CI runs it and compares.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// constraint keeps assembly out of builds that ask for Go alone.
const constraint = "!purego"

// units are the assembly files by name, each with what writes its functions; files add theirs in init.
var units = map[string]func(*build.Context){}

func main() {
	log.SetFlags(0)
	for name, write := range units {
		if err := generate(name, write); err != nil {
			log.Fatalf("gen: %s: %v", name, err)
		}
	}
	if err := generateARM64(); err != nil {
		log.Fatalf("gen: %v", err)
	}
}

func generate(name string, write func(*build.Context)) error {
	c := build.NewContext()
	c.ConstraintExpr(constraint)
	write(c)
	file, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	cfg := printer.Config{Argv: []string{"go", "-C", "kernels/cpu/gen", "run", "troupe/kernels/cpu/gen"}, Name: "gen", Pkg: "cpu"}
	return save(name, file, cfg)
}

func save(name string, file *ir.File, cfg printer.Config) error {
	for suffix, p := range map[string]printer.Printer{"_amd64.s": printer.NewGoAsm(cfg), "_amd64.go": printer.NewStubs(cfg)} {
		text, err := p.Print(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join("..", name+suffix), text, 0o644); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}
