//go:build !unix

package lend

import "errors"

func begin(*server) error {
	return errors.New("plugins: plugins need Linux or macOS")
}

func settle() {}
