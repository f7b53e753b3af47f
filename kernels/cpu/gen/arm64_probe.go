package main

import "fmt"

func init() {
	unitsARM64["probe_neon"] = func(a *asm) {
		probeReadNEON(a)
		probeMultiplyNEON(a, "probeInt8Dot", 20, func(sum, x, w V) { a.do(sdotBy(0), sum, w, x) })
		probeMultiplyNEON(a, "probeInt8NEON", 16, func(sum, x, w V) {
			s := a.make(addp, a.make(smull, w, x), a.make(smull2, w, x))
			a.do(sadalp, sum, s)
		})
		probeMultiplyNEON(a, "probeFloatNEON", 16, func(sum, x, w V) { a.do(fadd, sum, sum, a.make(fmul, w, x)) })
	}
}

// probeReadNEON reads in one stream.
func probeReadNEON(a *asm) {
	a.function("probeReadNEON", "(p *byte, n int)", "reads n bytes at p, a multiple of 128, once from beginning to end.")
	p, n := a.load("p", ""), a.load("n", "")
	sums := a.keep(8)
	a.clear(sums)
	a.label("loop")
	for i, sum := range sums {
		if i%4 == 0 {
			a.line("PRFM %s, PLDL1STRM", mem(p, readAhead+16*i))
		}
		a.do(eor, sum, sum, a.loaded(p, 16*i))
	}
	a.line("ADD $128, %v", p)
	a.line("SUBS $128, %v", n)
	a.line("BGT loop")
	a.end()
}

// probeMultiplyNEON runs rounds of multiplications that add to chains sums.
func probeMultiplyNEON(a *asm, name string, chains int, multiply func(sum, x, w V)) {
	a.function(name, "(rounds int)", fmt.Sprintf("multiplies and adds in registers: each round, one operation for each of %d sums.", chains))
	rounds := a.load("rounds", "")
	sums, xw := a.keep(chains), a.keep(2)
	a.clear(sums)
	a.clear(xw)
	a.label("loop")
	for _, sum := range sums {
		multiply(sum, xw[0], xw[1])
	}
	a.line("SUBS $1, %v", rounds)
	a.line("BNE loop")
	a.end()
}
