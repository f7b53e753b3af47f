package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Version is that of the protocol.
const Version = 1

const (
	maxRequest = 64 << 10 // bytes of a line
	maxReply   = 16 << 20 //
	maxPeers   = 16       // connections at a time
	// patience is how long a peer may take to send a request, from when it may, or to take a reply.
	patience = 30 * time.Second
)

// Request is what is asked for. What Do may be is the handler's matter.
type Request struct {
	Version int    `json:"version"`
	Do      string `json:"do"`
	Binding string `json:"binding,omitempty"` // of a swap
	Shadow  *int   `json:"shadow,omitempty"`  // batches that a swap compares; absent: as many as is usual
	Reason  string `json:"reason,omitempty"`  // of a roll-back
	Reset   bool   `json:"reset,omitempty"`   // of experts: count anew from here on
	Part    string `json:"part,omitempty"`    // of a move: stage=2, expert=3.5
	To      string `json:"to,omitempty"`      // of a move: local/0, b:7000/1
}

// reply is a line of the answer.
type reply struct {
	Version int             `json:"version"`
	Event   json.RawMessage `json:"event,omitempty"`
	Done    bool            `json:"done,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// parseRequest reads a line. It is strict, so that a misspelt argument is not left out without a word.
func parseRequest(line []byte) (r Request, err error) {
	if !utf8.Valid(line) {
		return r, errors.New("control: request: not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		var other struct{ Version int }
		if json.Unmarshal(line, &other) == nil && other.Version > 0 && other.Version != Version { // its keys may be others
			return r, wrongVersion(other.Version)
		}
		return r, fmt.Errorf("control: request: %s: want a line such as {\"version\": %d, \"do\": \"status\"}", plain(err), Version)
	}
	switch {
	case d.More():
		return r, errors.New("control: request: more than one value in a line")
	case r.Version != Version:
		return r, wrongVersion(r.Version)
	}
	return r, nil
}

func wrongVersion(got int) error {
	return fmt.Errorf("control: version %d of the protocol, want %d: use the troupe that the engine was started with", got, Version)
}

// plain is the text of an error without the name of the package that has it.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// encode makes a line of a reply.
func encode(r reply) ([]byte, error) {
	r.Version = Version
	line, err := json.Marshal(r)
	if err == nil && len(line) >= maxReply {
		err = fmt.Errorf("control: a reply of %d bytes, want less than %d", len(line), maxReply)
	}
	return append(line, '\n'), err
}

// parseReply reads a line of an answer. Keys that it does not know may be new ones.
func parseReply(line []byte) (r reply, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("control: reply: %s: is this the socket of an engine?", plain(err))
	}
	if r.Version != Version {
		return r, wrongVersion(r.Version)
	}
	return r, nil
}
