package tokenlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Version is that of the lines.
const Version = 1

// Limits of what is read and written.
const (
	MaxRequests = 1 << 20  // of a run
	MaxInput    = 64 << 20 // bytes of standard input that are kept
	maxLine     = 64 << 20 // bytes; the results of a request with its routing have some megabytes
	maxTokens   = 1 << 24  // of all requests without a result
	inputPiece  = 1 << 20  // bytes of standard input in a line
)

// Setting is a flag of the run.
type Setting struct {
	Name   string   `json:"name"`
	Given  bool     `json:"given,omitempty"` // it was not left to its default
	Values []string `json:"values"`
}

// Head says what is run.
type Head struct {
	Version  int       `json:"token_log"`
	Program  string    `json:"program"`           // that began it
	Model    string    `json:"model"`             // identity of configuration and weights
	Requests int       `json:"requests"`          // their number
	Digest   string    `json:"digest"`            // of all that is asked for in them
	Prompts  string    `json:"prompts,omitempty"` // SHA-256 of the file that they were read from
	Input    int       `json:"input,omitempty"`   // bytes of standard input, which follow
	Settings []Setting `json:"settings"`
}

// Token is a new token of a request.
type Token struct {
	ID         int32
	LogProb    float32
	Generation uint64 // of the kernels that it was drawn with
	Since      uint64 // the generation of the first rows of its request
}

// run is neighbouring tokens of a request; those from From on that were there before do not count any more.
type run struct {
	Request     int       `json:"request"`
	From        int       `json:"from"` // index of the first
	IDs         []int32   `json:"ids"`
	LogProbs    []float32 `json:"logprobs"`
	Generations []uint64  `json:"generations"`
	Since       uint64    `json:"since"` // of the last
}

// done is the result of a request.
type done struct {
	Request int             `json:"request"`
	Result  json.RawMessage `json:"result"`
}

// Suspect is a span of generations, both ends included, in which kernels were found wrong.
type Suspect struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// record is a line: one of its fields is set.
type record struct {
	Head    *Head    `json:"head,omitempty"`
	Input   []byte   `json:"input,omitempty"`
	Tokens  *run     `json:"tokens,omitempty"`
	Done    *done    `json:"done,omitempty"`
	Suspect *Suspect `json:"suspect,omitempty"`
	Resumed *string  `json:"resumed,omitempty"` // the program by which the run went on
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(text []byte) uint32 { return crc32.Checksum(text, castagnoli) }

const prefix = 9 // bytes before the JSON of a line

var errLong = fmt.Errorf("a line of more than %d bytes", maxLine)

// appendLine appends a record as a line.
func appendLine(to []byte, r record) ([]byte, error) {
	text, err := marshal(r)
	if err != nil {
		return to, err
	}
	if len(text)+prefix >= maxLine {
		return to, errLong
	}
	to = fmt.Appendf(to, "%08x ", checksum(text))
	return append(append(to, text...), '\n'), nil
}

// marshal is json.Marshal without an escape for HTML: raw results are to come back as they were.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

var errNotWhole = errors.New("not a whole line")

// parseLine reads a line with its end. Its error is errNotWhole where the line is torn or damaged.
func parseLine(line []byte) (r record, err error) {
	text, ended := bytes.CutSuffix(line, []byte("\n"))
	var sum [4]byte
	if !ended || len(text) < prefix || text[prefix-1] != ' ' {
		return r, errNotWhole
	}
	if _, err := hex.Decode(sum[:], text[:prefix-1]); err != nil {
		return r, errNotWhole
	}
	text = text[prefix:]
	if binary.BigEndian.Uint32(sum[:]) != checksum(text) {
		return r, errNotWhole
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: of another version of troupe?", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("more than one JSON value")
	}
	return r, nil
}
