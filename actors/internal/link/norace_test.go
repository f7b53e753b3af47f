//go:build !race

package link

const racing = false
