package plugins

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
)

// Bounds of what a plugin may say of itself.
const (
	maxVariants = 64
	maxScore    = math.MaxInt32
	maxName     = 64
	maxDoc      = 300
)

// checkName wants letters, digits and some signs, so that a binding, a log and a terminal can hold it.
func checkName(what, name, also string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-+"+also, r)
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%s name %.80q: want 1 to %d letters, digits or any of ._-+%s", what, name, maxName, also)
	}
	return nil
}

// text is what a plugin says for people, on one line.
func text(s string) string { return strings.TrimSpace(printable(s, maxDoc)) }

// printable keeps what a terminal shows of the first bytes, so that nothing a plugin says does anything else there.
func printable(s string, bytes int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s[:min(len(s), bytes)], "?"))
	return strings.ToValidUTF8(s[:min(len(s), bytes)], "")
}

// checkInfo reports what a library says wrongly of itself.
func checkInfo(p *pb.Info) (kernels.Info, error) {
	info := kernels.Info{Name: p.GetName(), Doc: text(p.GetDoc()), Version: text(p.GetVersion()), Promise: kernels.Promise(p.GetPromise())}
	if err := checkName("library", info.Name, "/:"); err != nil {
		return info, err
	}
	seen := map[kernels.Op]bool{}
	for _, b := range p.GetOps() {
		op := kernels.Op(b)
		if op >= kernels.NumOps || seen[op] {
			return info, fmt.Errorf("%s: op %v unknown or listed twice", info.Name, op)
		}
		seen[op] = true
		info.Ops = append(info.Ops, op)
	}
	switch {
	case info.Doc == "" || info.Version == "":
		return info, fmt.Errorf("%s: no description or version", info.Name)
	case len(info.Ops) == 0:
		return info, fmt.Errorf("%s: no ops", info.Name)
	case p.GetPromise() != uint32(kernels.Identical) && p.GetPromise() != uint32(kernels.Close):
		return info, fmt.Errorf("%s: promise %d unknown", info.Name, p.GetPromise())
	}
	return info, nil
}
