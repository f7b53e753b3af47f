package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
)

const swapGrammar = `want "token=N BINDING [shadow=N]", as "token=20 expert=plugin:mine shadow=4"`

// swapSpec is a swap of --swap: when so many tokens have been made, to which binding, after how many batches that
// are compared.
type swapSpec struct {
	token   uint64
	text    string // of the binding
	binding kernels.Binding
	shadow  int // 0: as many as is usual; -1: none
}

// parseSwap reads a specification, but for what its binding means.
func parseSwap(spec string) (s swapSpec, err error) {
	var timed, shadowed bool
	var binding []string
	for _, word := range strings.Fields(spec) {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "token" && !timed:
			timed = true
			if s.token, err = strconv.ParseUint(value, 10, 63); err != nil {
				return s, fmt.Errorf("%q: token %q, want an integer from 0: %s", spec, value, swapGrammar)
			}
		case name == "shadow" && !shadowed:
			shadowed = true
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > maxShadow {
				return s, fmt.Errorf("%q: shadow %q, want 0 (none) to %d batches: %s", spec, value, maxShadow, swapGrammar)
			}
			if s.shadow = n; n == 0 {
				s.shadow = -1
			}
		case name == "token" || name == "shadow":
			return s, fmt.Errorf("%q: %s stands twice: %s", spec, name, swapGrammar)
		default:
			binding = append(binding, word)
		}
	}
	s.text = strings.Join(binding, " ")
	switch {
	case !timed:
		return s, fmt.Errorf("%q: no token: %s", spec, swapGrammar)
	case s.text == "":
		return s, fmt.Errorf("%q: no binding: %s", spec, swapGrammar)
	}
	return s, nil
}

// readSwaps reads --swap.
func (h *host) readSwaps(c *cli.Context) (list []swapSpec, err error) {
	for _, spec := range c.StringSlice("swap") {
		s, err := parseSwap(spec)
		if err != nil {
			return nil, badFlag("swap", err)
		}
		if n := len(list); n > 0 && s.token < list[n-1].token {
			return nil, badFlag("swap", fmt.Errorf("%q: token %d, and the swap before waits for %d: want them in order", spec, s.token, list[n-1].token))
		}
		if s.binding, err = h.binding(c.Context, s.text); err != nil {
			return nil, badFlag("swap", err)
		}
		list = append(list, s)
	}
	return list, nil
}

// swapper carries out the swaps of --swap, in order, while tokens are made.
type swapper struct {
	*program
	steering *steering
	list     []swapSpec

	mu     sync.Mutex
	tokens uint64
	more   chan struct{} // closed when there are more tokens than before
}

// drawn counts a new token. A nil swapper counts nothing.
func (s *swapper) drawn() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
}

// wait returns when so many tokens have been made.
func (s *swapper) wait(ctx context.Context, token uint64) error {
	for {
		s.mu.Lock()
		if s.tokens >= token {
			s.mu.Unlock()
			return nil
		}
		if s.more == nil {
			s.more = make(chan struct{})
		}
		more := s.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errEnding is the cause of a context that ends because all text has been made.
var errEnding = errors.New("all requests have ended")

// run carries the swaps out until ctx ends, and says which never came to be. What becomes of one that did is told by
// its events.
func (s *swapper) run(ctx context.Context) {
	for _, next := range s.list {
		if s.wait(ctx, next.token) != nil {
			s.notice("--swap: %s never began: %d tokens were made, and it waits for %d", next.text, s.made(), next.token)
			continue
		}
		if err := s.steering.untold(ctx, next.binding, next.shadow); err != nil {
			s.notice("--swap: %s", terse(err.Error()))
		}
	}
}

func (s *swapper) made() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}
