package plugins

import (
	"os"
	"syscall"

	"troupe/kernels"
	"troupe/plugins/internal/lend"
)

// Serve lends variants to the engine that started this process; it is the whole main of a plugin. It does not
// return. The plugin has its file's name. Run by hand, the program says what it is, and with --describe what it has.
func Serve(variants ...kernels.Variant) { ServeAs(lend.Name(os.Args[0]), variants...) }

// ServeAs is Serve for a plugin with another name than its file's.
func ServeAs(name string, variants ...kernels.Variant) {
	out := os.NewFile(uintptr(syscall.Stdout), "stdout")
	syscall.Exit(lend.Main(name, variants, os.Args[1:], out))
}
