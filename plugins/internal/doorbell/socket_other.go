//go:build !unix

package doorbell

import (
	"errors"
	"os"
	"time"
)

// Socket is not for this system.
type Socket struct{}

// NewSocket fails.
func NewSocket(*os.File) (*Socket, error) { return nil, errors.ErrUnsupported }

// Wait is not for this system.
func (*Socket) Wait(*Words, uint32, time.Duration) {}

// Wake is not for this system.
func (*Socket) Wake(*Words) {}

// Close has nothing to do.
func (*Socket) Close() error { return nil }
