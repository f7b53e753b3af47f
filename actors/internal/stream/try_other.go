//go:build !unix

package stream

// tryWrite leaves everything to the writer: here no write is known that does not wait.
func tryWrite(uintptr, []byte) (int, error) { return 0, nil }
