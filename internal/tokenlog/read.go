package tokenlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// state is what a log says of a request.
type state struct {
	tokens []Token
	known  int // of these, as many as an earlier run had: kernels that a later one finds wrong had no part in them
	done   span
}

// span is where a line lies in the file.
type span struct {
	at   int64
	size int // 0: nowhere
}

// reading is a log on its way from a file.
type reading struct {
	head     *Head
	input    []byte
	requests map[int]*state
	suspects []Suspect
	held     int   // tokens of all requests
	whole    int64 // bytes of lines that are whole
}

// read reads all that is whole.
func (g *reading) read(from io.Reader) error {
	r := bufio.NewReaderSize(from, 64<<10)
	at, torn := int64(0), 0
	for number := 1; ; number++ {
		line, size, err := readLine(r)
		if err != nil && err != io.EOF {
			return err
		}
		if size == 0 {
			break
		}
		rec, bad := parseLine(line)
		switch {
		case bad == errNotWhole && torn == 0:
			torn = number
		case bad == errNotWhole:
		case torn > 0:
			return fmt.Errorf("line %d is damaged, and line %d behind it is whole: the end of a program leaves no such file: take a copy that is whole, or cut the file before line %d, and what it had from there on is made again",
				torn, number, torn)
		case bad != nil:
			return fmt.Errorf("line %d: %w", number, bad)
		default:
			if err := g.take(number, rec, span{at, size}); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			g.whole = at + int64(size)
		}
		at += int64(size)
	}
	switch {
	case g.head == nil && at == 0:
		return errors.New("empty: nothing was run: run without --resume")
	case g.head == nil:
		return errors.New("has no whole first line: is this a token log? if it is, nothing was run: remove it, and run without --resume")
	case len(g.input) < g.head.Input:
		return errors.New("ends before the whole of its standard input: nothing was run: remove it, and run without --resume")
	}
	g.settle()
	return nil
}

// readLine reads a line with its end; of one that is too long, its size alone.
func readLine(r *bufio.Reader) (line []byte, size int, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if size += len(part); size <= maxLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		if err != bufio.ErrBufferFull {
			return line, size, err
		}
	}
}

// take adds a record that is whole.
func (g *reading) take(number int, r record, where span) error {
	if fields := r.fields(); fields != 1 {
		return fmt.Errorf("%d records in a line, want 1", fields)
	}
	if (number == 1) != (r.Head != nil) {
		return errors.New("the head of a log is its first line, and no other: is this a token log?")
	}
	switch {
	case r.Head != nil:
		g.head = r.Head
		return r.Head.check()
	case r.Input != nil:
		if g.input = append(g.input, r.Input...); len(g.input) > g.head.Input {
			return fmt.Errorf("more standard input than the %d bytes of the head", g.head.Input)
		}
	case r.Tokens != nil:
		return g.takeTokens(r.Tokens)
	case r.Done != nil:
		s, err := g.request(r.Done.Request)
		if err != nil {
			return err
		}
		if s.done.size > 0 {
			return fmt.Errorf("request %d has a second result", r.Done.Request)
		}
		g.held -= len(s.tokens)
		*s = state{done: where}
	case r.Suspect != nil:
		g.suspects = append(g.suspects, *r.Suspect)
	case r.Resumed != nil:
		g.settle()
	}
	return nil
}

func (r *record) fields() (n int) {
	for _, set := range []bool{r.Head != nil, r.Input != nil, r.Tokens != nil, r.Done != nil, r.Suspect != nil, r.Resumed != nil} {
		if set {
			n++
		}
	}
	return n
}

func (h *Head) check() error {
	switch {
	case h.Version != Version:
		return fmt.Errorf("version %d, want %d: go on with the troupe that began it (%.40q)", h.Version, Version, h.Program)
	case h.Requests < 1 || h.Requests > MaxRequests:
		return fmt.Errorf("%d requests, want 1 to %d", h.Requests, MaxRequests)
	case h.Input < 0 || h.Input > MaxInput:
		return fmt.Errorf("%d bytes of standard input, want 0 to %d", h.Input, MaxInput)
	}
	return nil
}

func (g *reading) request(i int) (*state, error) {
	if i < 0 || i >= g.head.Requests {
		return nil, fmt.Errorf("request %d, want 0 to %d", i, g.head.Requests-1)
	}
	s := g.requests[i]
	if s == nil {
		s = &state{}
		g.requests[i] = s
	}
	return s, nil
}

func (g *reading) takeTokens(t *run) error {
	s, err := g.request(t.Request)
	n := len(t.IDs)
	switch {
	case err != nil:
		return err
	case s.done.size > 0:
		return fmt.Errorf("tokens of request %d behind its result", t.Request)
	case t.From < 0 || t.From > len(s.tokens):
		return fmt.Errorf("tokens of request %d from %d on, and it has %d", t.Request, t.From, len(s.tokens))
	case n < 1 || n != len(t.LogProbs) || n != len(t.Generations) || g.held+n > maxTokens:
		return fmt.Errorf("request %d: %d tokens with %d log probabilities and %d generations behind %d others, want as many of each, and no more than %d in all",
			t.Request, n, len(t.LogProbs), len(t.Generations), g.held, maxTokens)
	}
	g.held += n - (len(s.tokens) - t.From)
	s.tokens, s.known = s.tokens[:t.From], min(s.known, t.From)
	for i, id := range t.IDs {
		s.tokens = append(s.tokens, Token{id, t.LogProbs[i], t.Generations[i], t.Since})
	}
	return nil
}

// settle drops the tokens that rest on kernels which the run that made them found wrong: they are drawn again.
func (g *reading) settle() {
	for _, s := range g.requests {
		for i := s.known; i < len(s.tokens); i++ {
			if g.wrong(s.tokens[i]) {
				s.tokens = s.tokens[:i]
			}
		}
		s.known = len(s.tokens)
	}
	g.suspects = nil
}

// wrong tells whether a token rests on one of the suspects: on all that was computed since its request began.
func (g *reading) wrong(t Token) bool {
	for _, w := range g.suspects {
		if t.Since <= w.To && t.Generation >= w.From {
			return true
		}
	}
	return false
}
