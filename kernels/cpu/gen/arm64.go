package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The assembly of arm64. avo knows amd64 alone, and Go's assembler lacks most vector instructions of arm64:
// loads, stores and branches are written by their names, arithmetic on vectors as words (arm64_ops.go).

// unitsARM64 are the arm64 assembly files by name, each with what writes its functions.
var unitsARM64 = map[string]func(*asm){}

func generateARM64() error {
	for name, write := range unitsARM64 {
		a := &asm{file: name}
		write(a)
		for suffix, text := range map[string]string{"_arm64.s": a.source(), "_arm64.go": a.declarations()} {
			if err := os.WriteFile(filepath.Join("..", name+suffix), []byte(text), 0o644); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
	}
	return nil
}

// V is a vector register: from virtual on, one that takes a free register from where it is first written to
// where it is last used. Between these there must be no jump backwards.
type V int

const (
	virtual    V = 32
	numVectors V = 32
)

// R is a general register.
type R int

func (r R) String() string { return fmt.Sprintf("R%d", int(r)) }

// generals are those that a function may use: 16 and 17 belong to the linker, 18 to the system, 27 to the
// assembler, 28 to 31 to Go.
var generals = []R{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25}

// passing is for values on their way between memory and vector registers.
const passing R = 26

// node is a line of assembly with vector registers, of which the first is written, unless reads is set.
type node struct {
	regs  []V
	reads bool
	print func(r []V) string
}

// asm writes one file of functions.
type asm struct {
	file        string
	text, stubs strings.Builder
	consts      [][4]uint32
	body
}

// body is the function at hand.
type body struct {
	name   string
	nodes  []node
	params []param
	size   int // of parameters and result, in bytes
	usedR  int // general registers in use
	lowest V   // of the registers that hold something throughout
	fresh  V   // the next virtual one
	labels int
	table  R // of constants; -1: not wanted so far
}

// param is a parameter or, as ret, the result.
type param struct {
	name, kind string
	offset     int
}

// function begins a function. The signature is in Go, of slices, pointers, int and float32, with a float32 as
// result or none; the documentation is what the function is or does, behind its name.
func (a *asm) function(name, signature, doc string) {
	a.body = body{name: name, lowest: numVectors, fresh: virtual, table: -1}
	fmt.Fprintf(&a.stubs, "\n// %s %s\n//\n//go:noescape\nfunc %s%s\n", name, doc, name, signature)
	list, result, _ := strings.Cut(strings.TrimPrefix(signature, "("), ")")
	var untyped []string
	for _, p := range strings.Split(list, ", ") {
		name, kind, typed := strings.Cut(p, " ")
		untyped = append(untyped, name)
		if !typed {
			continue
		}
		for _, name := range untyped {
			a.param(name, kind)
		}
		untyped = nil
	}
	if result != "" {
		a.size = (a.size + 7) / 8 * 8
		a.param("ret", strings.TrimSpace(result))
	}
}

func (a *asm) param(name, kind string) {
	size, align := 8, 8
	switch {
	case strings.HasPrefix(kind, "[]"):
		size = 24
	case kind == "float32":
		size, align = 4, 4
	}
	a.size = (a.size + align - 1) / align * align
	a.params = append(a.params, param{name, kind, a.size})
	a.size += size
}

// fp is the place of a parameter, with a part of it such as _base.
func (a *asm) fp(name, part string) string {
	i := slices.IndexFunc(a.params, func(p param) bool { return p.name == name })
	offset := a.params[i].offset
	if part == "_len" {
		offset += 8
	}
	return fmt.Sprintf("%s%s+%d(FP)", name, part, offset)
}

// end returns and writes the function.
func (a *asm) end() {
	a.line("RET")
	a.write()
}

func (a *asm) write() {
	a.assign()
	fmt.Fprintf(&a.text, "\n// func %s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", a.name, a.name, a.size)
	for _, n := range a.nodes {
		a.text.WriteString(n.print(n.regs) + "\n")
	}
}

// assign gives virtual registers real ones.
func (a *asm) assign() {
	last := map[V]int{}
	for i, n := range a.nodes {
		for _, r := range n.regs {
			last[r] = i
		}
	}
	var free [numVectors]bool
	for r := range a.lowest {
		free[r] = true
	}
	place := map[V]V{}
	for i := range a.nodes {
		n := &a.nodes[i]
		regs := slices.Clone(n.regs)
		var ends []V
		for j := len(regs) - 1; j >= 0; j-- { // what is read first, so that the result may take its place
			r := regs[j]
			if r < virtual {
				continue
			}
			if _, known := place[r]; !known {
				if j > 0 || n.reads {
					panic(fmt.Sprintf("BUG: gen: %s: a vector register is read before it is written: %s", a.name, n.print(regs)))
				}
				for _, e := range ends {
					free[e] = true
				}
				ends = nil
				k := slices.Index(free[:], true)
				if k < 0 {
					panic(fmt.Sprintf("BUG: gen: %s: more vector registers than there are", a.name))
				}
				place[r], free[k] = V(k), false
			}
			regs[j] = place[r]
			if last[r] == i {
				ends = append(ends, place[r])
			}
		}
		for _, e := range ends {
			free[e] = true
		}
		n.regs = regs
	}
}

// line writes a line without vector registers, or with real ones.
func (a *asm) line(format string, args ...any) {
	text := "\t" + fmt.Sprintf(format, args...)
	a.nodes = append(a.nodes, node{print: func([]V) string { return text }})
}

func (a *asm) label(name string) {
	a.nodes = append(a.nodes, node{print: func([]V) string { return name + ":" }})
}

// newLabel is a name that no other label of the function has.
func (a *asm) newLabel(name string) string {
	a.labels++
	return fmt.Sprintf("%s%d", name, a.labels)
}

// general is a general register of the function's own.
func (a *asm) general() R {
	if a.usedR == len(generals) {
		panic(fmt.Sprintf("BUG: gen: %s: more general registers than there are", a.name))
	}
	a.usedR++
	return generals[a.usedR-1]
}

// load is a parameter or part of one in a general register.
func (a *asm) load(name, part string) R {
	r := a.general()
	a.line("MOVD %s, %v", a.fp(name, part), r)
	return r
}

// keep is n registers, in ascending order, that hold something throughout the function.
func (a *asm) keep(n int) []V {
	a.lowest -= V(n)
	regs := make([]V, n)
	for i := range regs {
		regs[i] = a.lowest + V(i)
	}
	return regs
}

// temp is a virtual register.
func (a *asm) temp() V {
	a.fresh++
	return a.fresh - 1
}

// do writes an instruction; its result is in the first register.
func (a *asm) do(o op, regs ...V) {
	a.nodes = append(a.nodes, node{regs, o.keeps, o.line})
}

// make is do with a new register for the result.
func (a *asm) make(o op, regs ...V) V {
	d := a.temp()
	a.do(o, append([]V{d}, regs...)...)
	return d
}

// fill loads a register: instruction is FMOVS, FMOVD or FMOVQ of memory, or FMOVS of a general register.
func (a *asm) fill(instruction, from string, to V) {
	a.nodes = append(a.nodes, node{[]V{to}, false, func(r []V) string { return fmt.Sprintf("\t%s %s, F%d", instruction, from, r[0]) }})
}

// spill is the opposite of fill.
func (a *asm) spill(instruction string, from V, to string) {
	a.nodes = append(a.nodes, node{[]V{from}, true, func(r []V) string { return fmt.Sprintf("\t%s F%d, %s", instruction, r[0], to) }})
}

func mem(base R, disp int) string { return fmt.Sprintf("%d(%v)", disp, base) }

// loaded is 16 bytes in a new register.
func (a *asm) loaded(base R, disp int) V {
	v := a.temp()
	a.fill("FMOVQ", mem(base, disp), v)
	return v
}

// store writes 16 bytes.
func (a *asm) store(v V, base R, disp int) { a.spill("FMOVQ", v, mem(base, disp)) }

// bits is a constant in all lanes of a new register.
func (a *asm) bits(b uint32) V {
	v := a.temp()
	a.fill("FMOVQ", a.constant(same(b)), v)
	return v
}

func same(b uint32) [4]uint32 { return [4]uint32{b, b, b, b} }

// constant is the place of a constant in memory.
func (a *asm) constant(w [4]uint32) string {
	if a.table < 0 {
		// Ahead of everything else, since code that is jumped over may be the first to want it.
		a.table = a.general()
		text := fmt.Sprintf("\tMOVD $%sConsts<>(SB), %v", a.file, a.table)
		a.nodes = slices.Insert(a.nodes, 0, node{print: func([]V) string { return text }})
	}
	i := slices.Index(a.consts, w)
	if i < 0 {
		i = len(a.consts)
		a.consts = append(a.consts, w)
	}
	return mem(a.table, 16*i)
}

const generated = "// Code generated by command: go -C kernels/cpu/gen run troupe/kernels/cpu/gen. DO NOT EDIT.\n\n//go:build " + constraint + "\n\n"

func (a *asm) source() string {
	var data strings.Builder
	for i, w := range a.consts {
		for half := range 2 {
			fmt.Fprintf(&data, "DATA %sConsts<>+%d(SB)/8, $0x%08x%08x\n", a.file, 16*i+8*half, w[2*half+1], w[2*half])
		}
	}
	if len(a.consts) > 0 {
		fmt.Fprintf(&data, "GLOBL %sConsts<>(SB), RODATA|NOPTR, $%d\n", a.file, 16*len(a.consts))
	}
	text := generated + "#include \"textflag.h\"\n" + a.text.String()
	if data.Len() > 0 {
		text += "\n" + data.String()
	}
	return text
}

func (a *asm) declarations() string { return generated + "package cpu\n" + a.stubs.String() }
