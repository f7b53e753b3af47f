package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Field is one of the values that say what is measured.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// head is the first line.
type head struct {
	Journal  string  `json:"journal"` // the kind of experiment
	Version  int     `json:"version"` // of the lines
	Measured []Field `json:"measured"`
}

const (
	maxLine = 4 << 20 // bytes; the head of a sweep over thousands of policies has less
	// maxBytes bounds a file that is read: a million documents under eight policies have some 2 GB.
	maxBytes = 8 << 30
)

// Options say which journal is wanted.
type Options struct {
	File    string
	Kind    string // of the experiment, as "experts sweep"
	Version int    // of its lines
	Fields  []Field
	Restart bool // whatever is there is thrown away
}

// Journal is an open file of measurements. One goroutine adds at a time.
type Journal struct {
	name   string
	file   file
	failed error
	lines  int // whole ones behind the head
}

// file is what a journal needs of an [os.File].
type file interface {
	io.WriteCloser
	Sync() error
}

// Open opens a journal, or begins it where there is none, and hands every measurement that is there to each, whose
// errors name their line. A journal of something else is an error that says what differs; it is left as it is.
func Open(o Options, each func(line []byte) error) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(o.File), 0o755); err != nil {
		return nil, err
	}
	j := &Journal{name: o.File}
	whole, err := j.load(o, each)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.File, err)
	}
	// Whoever else has the file open appends as well, so that none writes over the other's lines.
	if j.file, err = os.OpenFile(o.File, os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	if whole == 0 {
		if err := j.write(head{o.Kind, o.Version, o.Fields}); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", o.File, bare(err)), j.file.Close())
		}
	}
	return j, nil
}

// load reads the file, drops what is left of a torn line, and returns how many bytes stay.
func (j *Journal) load(o Options, each func(line []byte) error) (whole int64, err error) {
	if info, err := os.Stat(o.File); err == nil && !info.Mode().IsRegular() {
		return 0, errors.New("no regular file: measurements are kept in one, to be read again")
	}
	flags := os.O_RDWR | os.O_CREATE
	if o.Restart {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(o.File, flags, 0o644)
	if err != nil {
		return 0, bare(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if whole, err = j.read(f, o, each); err != nil {
		return 0, err
	}
	return whole, f.Truncate(whole)
}

// bare takes the path out of an error, for messages that name it.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// read returns how many bytes of the file are whole lines.
func (j *Journal) read(f *os.File, o Options, each func([]byte) error) (whole int64, err error) {
	r := bufio.NewReaderSize(f, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(r)
		switch {
		case err == io.EOF && (number > 1 || begins(line)): // without a line end: torn
			return whole, nil
		case err == io.EOF, err == nil && !json.Valid(line):
			if _, more := r.Peek(1); more == io.EOF && number > 1 { // the power went before all of it was on the disk
				return whole, nil
			}
			err = errors.New("not JSON")
		}
		switch {
		case err != nil:
		case number == 1:
			err = o.fits(line)
		default:
			err = each(line)
			j.lines++
		}
		if whole += int64(len(line)); err == nil && whole > maxBytes {
			err = fmt.Errorf("longer than %d bytes", int64(maxBytes))
		}
		var differs *differentError
		if errors.As(err, &differs) {
			return 0, err
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w: is this a journal? take another place (--out), or throw it away (--restart)", number, err)
		}
	}
}

// begins tells that a line may be what is left of a head.
func begins(line []byte) bool {
	const first = `{"journal":`
	n := min(len(line), len(first))
	return string(line[:n]) == first[:n]
}

// readLine reads one with its end, at most maxLine bytes.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err != bufio.ErrBufferFull:
			return line, err
		case len(line) > maxLine:
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
	}
}

// differentError says that a journal is of another experiment.
type differentError struct{ text string }

func (e *differentError) Error() string {
	return e.text + ": give the same settings, take another place (--out), or begin anew (--restart)"
}

func differs(format string, args ...any) error {
	return &differentError{fmt.Sprintf(format, args...)}
}

// fits compares the first line with what is wanted.
func (o *Options) fits(line []byte) error {
	var h head
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return err
	}
	if h.Journal != o.Kind || h.Version != o.Version {
		return differs("holds %q, version %d, want %q, version %d", clip(h.Journal), h.Version, o.Kind, o.Version)
	}
	for i := range min(len(h.Measured), len(o.Fields)) {
		if got, want := h.Measured[i], o.Fields[i]; got != want {
			return differs("was measured with %s %s, and now it is %s %s", clip(got.Name), clip(got.Value), clip(want.Name), clip(want.Value))
		}
	}
	if len(h.Measured) != len(o.Fields) {
		return differs("was measured with %d settings, and now there are %d", len(h.Measured), len(o.Fields))
	}
	return nil
}

func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}

// Lines is how many measurements are in the file.
func (j *Journal) Lines() int { return j.lines }

// Add writes a measurement as a line and waits until the disk has it. After an error nothing more is written; what
// was there before stays.
func (j *Journal) Add(measurement any) error {
	if j.failed == nil {
		if j.failed = j.write(measurement); j.failed == nil {
			j.lines++
			return nil
		}
		j.failed = fmt.Errorf("%s: %w: the %d measurements that it has are kept: make room, and run the same command again", j.name, bare(j.failed), j.lines)
	}
	return j.failed
}

func (j *Journal) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line) >= maxLine {
		return fmt.Errorf("a line of %d bytes, want less than %d", len(line), maxLine)
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.file.Sync()
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
