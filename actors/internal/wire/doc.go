// Package wire is what a head and its workers say to each other, generated from wire.proto, and what travels in it.
package wire
