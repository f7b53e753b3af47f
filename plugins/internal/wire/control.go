package wire

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/internal/doorbell"
)

// Version is that of the whole protocol: of the control words, the frames and the services of package pb.
const Version = 2

// ControlBytes is the size of the control page.
const ControlBytes = 4096

const (
	controlMagic = 0x70757274 // "trup"
	maxText      = 2048
)

// Control is the page of words through which calls go. The engine writes Call, then rings; the plugin runs,
// writes Answer, and rings back.
type Control struct {
	magic, version uint32
	_              [56]byte
	Request        doorbell.Words // numbers of the engine's calls
	Response       doorbell.Words // the number of the call answered
	Beat           atomic.Uint32  // grows as long as the plugin lives
	_              [60]byte
	Call           struct {
		Items atomic.Uint64 // of Item, which run one after the other until one fails
		_     [56]byte
		Item  [kernels.MostSeveral]Item
	}
	Answer struct {
		Place  atomic.Uint32 // one more than the number of the processor that the kernels' caller runs on; 0: of no interest
		Status atomic.Uint32
		Text   atomic.Uint32 // bytes of text
		Nanos  atomic.Uint64 // that the kernels took
	}
	_    [40]byte
	text [maxText]byte
}

// Item is one kernel to run, and the place of its frame.
type Item struct {
	Kernel, Region, Offset, Length atomic.Uint64
}

// The statuses of an answer.
const (
	Done     = iota + 1
	Failed   // the kernel returned an error
	Panicked // the kernel, or what looked for it, panicked
	BadCall  // there is no such kernel, or the frame cannot be read
)

// NewControl begins a page that is zero.
func NewControl(page []byte) *Control {
	c := at(page)
	c.magic, c.version = controlMagic, Version
	return c
}

// OpenControl looks at a page that the engine has begun.
func OpenControl(page []byte) (*Control, error) {
	if len(page) < ControlBytes {
		return nil, fmt.Errorf("plugins: a control page of %d bytes, want %d", len(page), ControlBytes)
	}
	c := at(page)
	if c.magic != controlMagic || c.version != Version {
		return nil, errors.New("plugins: the control page is not one of this version: build plugin and engine from the same release")
	}
	return c, nil
}

func at(page []byte) *Control {
	if len(page) < int(unsafe.Sizeof(Control{})) {
		panic("BUG: plugins: control page too small")
	}
	return (*Control)(unsafe.Pointer(unsafe.SliceData(page)))
}

// Say sets the text of an answer, as far as there is room.
func (c *Control) Say(text string) { c.Answer.Text.Store(uint32(copy(c.text[:], text))) }

// Said is the text of an answer.
func (c *Control) Said() string {
	return string(c.text[:min(int(c.Answer.Text.Load()), maxText)])
}
