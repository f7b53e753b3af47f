package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
)

// Error is what the engine has answered instead of a result.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Call asks the engine at a path, of Parse, and returns its result; events are handed on as they come (nil: they
// are dropped). The end of ctx ends the connection, and with it what was asked for.
func Call(ctx context.Context, path string, r Request, event func(json.RawMessage) error) (json.RawMessage, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("control: %s: %w: only the user who has started the engine may steer it", path, reasonOf(err))
	case err != nil:
		return nil, fmt.Errorf("control: %s: %w: is an engine running with --control unix:%s?", path, reasonOf(err), path)
	}
	conn := c.(*net.UnixConn)
	defer conn.Close()
	if err := sameUser(conn); err != nil {
		return nil, fmt.Errorf("control: %s: %w", path, err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r.Version = Version
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxRequest {
		return nil, fmt.Errorf("control: a request of %d bytes, want less than %d", len(line), maxRequest)
	}
	_, wrote := conn.Write(append(line, '\n')) // where it fails, a refusal may have come before
	result, err := replies(conn, event)
	if err == nil {
		return result, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if wrote != nil && !errors.As(err, new(*Error)) {
		err = fmt.Errorf("control: request: %w", wrote)
	}
	return nil, err
}

// replies reads events until the last line.
func replies(from io.Reader, event func(json.RawMessage) error) (json.RawMessage, error) {
	s := bufio.NewScanner(from)
	s.Buffer(make([]byte, 0, 4<<10), maxReply)
	for s.Scan() {
		r, err := parseReply(s.Bytes())
		switch {
		case err != nil:
			return nil, err
		case r.Done && r.Error != "":
			return nil, &Error{r.Error}
		case r.Done:
			return r.Result, nil
		case event == nil:
		default:
			if err := event(r.Event); err != nil {
				return nil, err
			}
		}
	}
	if err := s.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		return nil, fmt.Errorf("control: reply: %w", err)
	}
	return nil, errors.New("control: the engine has gone before it answered")
}

// reasonOf takes the names of operation and address out of an error of the net package.
func reasonOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}
