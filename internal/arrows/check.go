package arrows

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Check reads the imports of every Go file below the root of fsys and returns what breaks the map, one line each:
// file, line, what is wrong, why, and the mend. Nested modules, testdata, and folders that the go command ignores
// are left out. The error is one of reading or parsing.
func Check(fsys fs.FS) ([]string, error) {
	var found []string
	reported := map[string]bool{} // folders without a row
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && skipped(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		row, ok := rowOf(dir)
		if !ok {
			if !reported[dir] {
				found = append(found, fmt.Sprintf("%s: folder %s is not on the map: give it a row in internal/arrows/rules.go, with what it may import", name, dir))
			}
			reported[dir] = true
			return nil
		}
		found = append(found, checkFile(fset, file, row)...)
		return nil
	})
	return found, err
}

// skipped says whether the go command passes the folder over, or it is a module of its own.
func skipped(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func rowOf(dir string) (folder, bool) {
	i := slices.IndexFunc(folders, func(f folder) bool { return f.path == dir })
	if i < 0 {
		return folder{}, false
	}
	return folders[i], true
}

func checkFile(fset *token.FileSet, file *ast.File, row folder) []string {
	var found []string
	add := func(pos token.Pos, format string, args ...any) {
		p := fset.Position(pos)
		found = append(found, fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...)))
	}
	test := strings.HasSuffix(fset.Position(file.Pos()).Filename, "_test.go")
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it, so this cannot be
		}
		if why := forbidden(row, target, test); why != "" {
			add(spec.Pos(), "%s imports %s: %s", row.path, target, why)
		}
	}
	if row.plain && !test {
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				add(g.Pos(), "%s starts a goroutine: %s", row.path, plainReason)
			}
			return true
		})
	}
	return found
}

// forbidden returns why a file of the folder may not import target, or "".
func forbidden(row folder, target string, test bool) string {
	inside, own := strings.CutPrefix(target, module+"/")
	switch first, _, _ := strings.Cut(target, "/"); {
	case own:
		return forbiddenFolder(row, inside, test)
	case target == "C" && row.cgo:
	case target == "C":
		return "the program builds without a C compiler: kernels in C come as plugins"
	case strings.Contains(first, "."):
		return forbiddenModule(row, target, test)
	case row.plain && !test && slices.Contains(notInPlain, target):
		return plainReason
	}
	return ""
}

func forbiddenFolder(row folder, target string, test bool) string {
	if slices.Contains(row.imports, "*") || slices.Contains(row.imports, target) {
		return ""
	}
	if test && (target == row.path || !slices.Contains(notInTests, target)) {
		return ""
	}
	for _, r := range reasons {
		if matches(r.from, row.path) && matches(r.to, target) {
			return r.why
		}
	}
	return "not on the map: give " + target + " a row in internal/arrows/rules.go"
}

func forbiddenModule(row folder, target string, test bool) string {
	for _, d := range doors {
		if target != d.module && !strings.HasPrefix(target, d.module+"/") {
			continue
		}
		if slices.Contains(d.in, row.path) || test && d.in == nil {
			return ""
		}
		if d.in == nil {
			return "for test files only: " + d.why
		}
		return "it enters by " + strings.Join(d.in, ", ") + " only: " + d.why
	}
	return "a library that is not on the map: give it a door in internal/arrows/rules.go, with the folder it enters by and why"
}

// matches says whether a folder is meant by a pattern of a reason.
func matches(pattern, dir string) bool {
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == above || strings.HasPrefix(dir, above+"/")
	}
	return pattern == "*" || pattern == dir
}
