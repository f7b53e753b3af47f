package tidy

import (
	"go/ast"
	"go/token"
	"path"
)

// checkPackageDocs wants one file of each package to say what the package is.
func checkPackageDocs(t tree, r *report) {
	first := map[string]*source{} // by folder
	has := map[string]bool{}
	for _, s := range t {
		if s.file == nil || s.test() {
			continue
		}
		dir := path.Dir(s.path)
		if first[dir] == nil {
			first[dir] = s
		}
		has[dir] = has[dir] || s.file.Doc != nil
	}
	for dir, s := range first {
		if !has[dir] {
			r.add(s.path, s.line(s.file.Name), "package %s has no doc comment: say in doc.go what it is and what it leaves to others", s.file.Name.Name)
		}
	}
}

// plain are methods whose name says all: the standard library's interfaces define them.
var plain = map[string]bool{"Error": true, "String": true, "Unwrap": true, "Len": true, "Less": true, "Swap": true}

// checkExportedDocs wants a doc comment at every exported type, function, method, constant and variable. In a group
// the comment above the group, above the line or behind it will do. What a generator writes is read at its source.
func checkExportedDocs(t tree, r *report) {
	for _, s := range t {
		if s.file == nil || s.test() || ast.IsGenerated(s.file) {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				method := d.Recv != nil
				if d.Doc == nil && d.Name.IsExported() && (!method || ast.IsExported(receiver(d)) && !plain[d.Name.Name]) {
					r.add(s.path, s.line(d), "%s is exported and has no doc comment", d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					checkSpec(s, d, spec, r)
				}
			}
		}
	}
}

func checkSpec(s *source, group *ast.GenDecl, spec ast.Spec, r *report) {
	var names []*ast.Ident
	documented := group.Doc != nil
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		// A group of types has a comment each: they are nouns of their own.
		names, documented = []*ast.Ident{spec.Name}, spec.Doc != nil || spec.Comment != nil || documented && group.Lparen == token.NoPos
	case *ast.ValueSpec:
		names, documented = spec.Names, documented || spec.Doc != nil || spec.Comment != nil
	}
	for _, n := range names {
		if n.IsExported() && !documented {
			r.add(s.path, s.line(n), "%s is exported and has no doc comment", n.Name)
		}
	}
}

// receiver gives the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	for e := d.Recv.List[0].Type; ; {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
