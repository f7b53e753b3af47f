package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// programOnly are the names that only a package main may use: a part of the engine hands values, events and errors to
// its caller, who decides what is shown and when the process ends.
var programOnly = map[string]bool{
	"fmt.Print": true, "fmt.Printf": true, "fmt.Println": true, "print": true, "println": true, "os.Stdout": true,
	"os.Exit": true, "log.Fatal": true, "log.Fatalf": true, "log.Fatalln": true, "log.Panic": true, "log.Panicf": true, "log.Panicln": true,
}

// checkCalls looks for output and exits outside programs, and for panics that are not marked as bugs of ours.
// Mistakes of the world are errors. To panic again with what recover gave is no new panic.
func checkCalls(t tree, r *report) {
	for _, s := range t {
		if s.file == nil || s.test() {
			continue
		}
		recovered := map[string]bool{} // variables that hold what recover gave
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if x, ok := n.Lhs[0].(*ast.Ident); ok && calls(n.Rhs[0], "recover") {
					recovered[x.Name] = true
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && programOnly[x.Name+"."+n.Sel.Name] && s.file.Name.Name != "main" {
					r.add(s.path, s.line(n), "%s.%s outside a program: return a value or an error, or take a writer or logger", x.Name, n.Sel.Name)
				}
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.Ident)
				switch {
				case !ok:
				case f.Name == "panic" && !saysBug(n) && !again(n, recovered):
					r.add(s.path, s.line(n), "panic without \"BUG: \": return an error, or, if only a mistake of ours can lead here, say so")
				case programOnly[f.Name] && s.file.Name.Name != "main":
					r.add(s.path, s.line(n), "%s outside a program: it is for a moment's debugging", f.Name)
				}
			}
			return true
		})
	}
}

// calls says whether an expression is a call of the built-in function.
func calls(e ast.Expr, name string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.Ident)
	return ok && f.Name == name
}

// again says whether the call's argument is one of the variables.
func again(call *ast.CallExpr, recovered map[string]bool) bool {
	if len(call.Args) != 1 {
		return false
	}
	x, ok := call.Args[0].(*ast.Ident)
	return ok && recovered[x.Name]
}

// saysBug says whether a string in the call's argument begins with BUG:.
func saysBug(call *ast.CallExpr) bool {
	found := false
	ast.Inspect(call, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.HasPrefix(lit.Value[1:], "BUG: ") {
			found = true
		}
		return !found
	})
	return found
}
