package kernels

import "fmt"

// FaultKind says in what way a library failed that runs in a process of its own.
type FaultKind uint8

const (
	Crash FaultKind = iota // the process died, or a kernel panicked
	Hang                   // no answer within the deadline, or no sign of life
	Lie                    // an answer that cannot be right: not finite where all inputs were, or out of bounds
	Lost                   // it failed before: the library is gone
)

var faultKinds = []string{Crash: "crash", Hang: "hang", Lie: "lie", Lost: "lost"}

func (k FaultKind) String() string {
	if int(k) < len(faultKinds) {
		return faultKinds[k]
	}
	return fmt.Sprintf("fault(%d)", uint8(k))
}

// Fault is the error of a kernel that has written nothing: its inputs are as they were, so that another
// library can run the same calls. Its own library is of no more use, but for Close.
type Fault struct {
	Library string
	Kind    FaultKind
	Err     error
}

func (f *Fault) Error() string { return fmt.Sprintf("kernels: %s: %v: %v", f.Library, f.Kind, f.Err) }
func (f *Fault) Unwrap() error { return f.Err }
