//go:build !unix

package tensor

import "errors"

// duplicate has no descriptor to give: nothing here is shared.
func duplicate(int) (int, error) { return -1, nil }

func readOnly(int) (int, error) { return -1, errors.ErrUnsupported }

func closeDescriptor(int) error { return nil }
