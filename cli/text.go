package main

import (
	"troupe/stages/sample"
	"troupe/tokens"
)

// textStream turns tokens into what may be shown.
type textStream struct {
	stream *tokens.Stream // nil: no text
	stop   *sample.Stop
}

func (g *generator) newText(j job) (*textStream, error) {
	t := &textStream{}
	var err error
	if g.tokenizer == nil {
		return t, nil
	}
	if t.stop, err = sample.NewStop(j.stops); err != nil {
		return nil, err
	}
	t.stream, err = g.tokenizer.NewStreamAfter(j.request.Prompt)
	return t, err
}

func (t *textStream) next(token int32) (part string, hit bool, err error) {
	if t.stream == nil {
		return "", false, nil
	}
	part, err = t.stream.Next(token)
	if err != nil {
		return "", false, err
	}
	part, hit = t.stop.Push(part)
	return part, hit, nil
}

// flush gives what was held back; nothing after a stop string.
func (t *textStream) flush() string {
	if t.stream == nil {
		return ""
	}
	part, hit := t.stop.Push(t.stream.Flush())
	if hit {
		return part
	}
	return part + t.stop.Flush()
}
