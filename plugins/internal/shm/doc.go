// Package shm is memory that two processes share: made by one, its descriptor sent over a socket, mapped by
// the other. Where there is no memfd a temporary file without a name serves, and on systems other than Unix
// nothing does.
package shm
