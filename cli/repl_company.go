package main

import (
	"context"
	"strings"
)

// showCompany shows who computes what, and where.
func (r *repl) showCompany(ctx context.Context, _ string) error {
	c, err := r.kernels.engine.company(ctx)
	if err != nil {
		return err
	}
	return companyOf(c).print(r.err)
}

// move puts a part on another device.
func (r *repl) move(ctx context.Context, words string) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.interrupts.catch(cancel)()
	part, to, err := splitMove(strings.Fields(words))
	if err != nil {
		return &settingError{err}
	}
	moved, err := r.kernels.move(own, part, to)
	if err != nil {
		return &settingError{err}
	}
	return moved.print(r.err)
}
