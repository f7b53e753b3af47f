//go:build !linux && !darwin

package control

import (
	"errors"
	"net"
)

const maxPath = 107

var errSystem = errors.New("this system does not say who a peer is: a control socket needs Linux or macOS")

func listen(string) (*net.UnixListener, func() error, error) { return nil, nil, errSystem }

func check(string) error { return errSystem }

func sameUser(*net.UnixConn) error { return errSystem }
