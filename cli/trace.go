package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"

	"troupe/actors"
	"troupe/stages/place"
)

// traceFile writes turns in the trace event format of Chrome, one line each as they happen: a JSON array,
// which viewers read also when its end is missing. A device is a process, its lane the one thread.
type traceFile struct {
	mu  sync.Mutex
	out *bufio.Writer
	f   *os.File
	err error // the first; later turns are dropped
}

func newTraceFile(path string, p place.Plan) (*traceFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &traceFile{f: f, out: bufio.NewWriterSize(f, 1<<16)}
	t.print("[\n")
	for i, d := range p.Devices {
		if i > 0 {
			t.print(",\n")
		}
		t.print(`{"name":"process_name","ph":"M","pid":%d,"tid":0,"args":{"name":%q}}`, i, fmt.Sprintf("device %d: %s", i, d))
	}
	return t, nil
}

func (t *traceFile) print(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}

// turn writes one turn; it is called on the devices' lanes.
func (t *traceFile) turn(turn actors.Turn) {
	name, category := fmt.Sprintf("stage %d, layer %d", turn.Stage, turn.Layer), "stage"
	if turn.Expert >= 0 {
		name, category = fmt.Sprintf("layer %d, expert %d", turn.Layer, turn.Expert), "expert"
	}
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print(",\n"+`{"name":%q,"cat":%q,"ph":"X","pid":%d,"tid":0,"ts":%.3f,"dur":%.3f,"args":{"batch":%d,"rows":%d}}`,
		name, category, turn.Device, micros(turn.Begin), micros(turn.End-turn.Begin), turn.Batch, turn.Rows)
}

// Close ends the array and the file. A nil traceFile has nothing to close.
func (t *traceFile) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print("\n]\n")
	if t.err == nil {
		t.err = t.out.Flush()
	}
	if err := t.f.Close(); t.err == nil {
		t.err = err
	}
	if t.err != nil {
		return fmt.Errorf("trace: %s: %w", t.f.Name(), t.err)
	}
	return nil
}
