// Package tidy is the style of this repository as a test: what a reviewer would otherwise have to say again.
//
// [Check] looks at the tracked files and returns everything it finds at once, with file and line:
//
//   - every package and every exported identifier has a doc comment
//   - a Go file has at most 400 lines, a test 600, or says in its first lines why it is one piece
//   - no mark of unfinished work, no path of somebody's computer, no mention of a document that is not here
//   - only a program writes to standard output or ends the process; a panic is a bug and says BUG:
//   - links in Markdown lead to a tracked file and to a heading that is there
//   - no file is larger than 1.6 MB; NOTICE names every module of go.mod
//
// Formatting, vet and staticcheck are left to those tools, imports to the package arrows.
package tidy
