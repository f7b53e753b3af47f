//go:build !unix

package actors

import "errors"

func signal(int, Deed) error { return errors.New("processes are not stopped on this system") }
