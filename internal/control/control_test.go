//go:build linux || darwin

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socketPath is a path for a socket that is short enough on every system.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// served serves h with that patience until the end of the test.
func served(t *testing.T, patience time.Duration, h Handler) (path string) {
	t.Helper()
	path = socketPath(t)
	s, err := serve(path, nil, h, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is still there")
		}
	})
	return path
}

// echo tells what it was asked, after an event for each letter of the binding.
func echo(_ context.Context, r Request, event func(any) error) (any, error) {
	for _, c := range r.Binding {
		if err := event(map[string]string{"letter": string(c)}); err != nil {
			return nil, err
		}
	}
	if r.Do == "fail" {
		return nil, errors.New("as asked")
	}
	return r, nil
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func TestCall(t *testing.T) {
	path := served(t, patience, echo)
	shadow := 0
	var got bytes.Buffer
	raw, err := Call(t.Context(), path, Request{Do: "swap", Binding: "abc", Shadow: &shadow}, func(e json.RawMessage) error {
		got.Write(e)
		return nil
	})
	if err != nil || string(raw) != `{"version":1,"do":"swap","binding":"abc","shadow":0}` || got.String() != `{"letter":"a"}{"letter":"b"}{"letter":"c"}` {
		t.Errorf("%s, %s, %v", raw, got.String(), err)
	}
	var e *Error
	if _, err := Call(t.Context(), path, Request{Do: "fail"}, nil); !errors.As(err, &e) || err.Error() != "as asked" {
		t.Errorf("%v", err)
	}
	if _, err := Call(t.Context(), path, Request{Binding: strings.Repeat("x", maxRequest)}, nil); err == nil || !strings.Contains(err.Error(), "want less than") {
		t.Errorf("%v", err)
	}
	stop := errors.New("stop")
	if _, err := Call(t.Context(), path, Request{Binding: "ab"}, func(json.RawMessage) error { return stop }); err != stop {
		t.Errorf("%v, want the caller's own", err)
	}
	if _, err := Call(t.Context(), path+"0", Request{}, nil); err == nil || !strings.Contains(err.Error(), "is an engine running with --control unix:"+path) {
		t.Errorf("%v", err)
	}
}

// TestCancelled: the end of the caller's context is the end of the handler's.
func TestCancelled(t *testing.T) {
	began, ended := make(chan bool), make(chan error, 1)
	path := served(t, patience, func(ctx context.Context, _ Request, _ func(any) error) (any, error) {
		close(began)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		<-began
		cancel(why)
	}()
	if _, err := Call(ctx, path, Request{}, nil); err != why {
		t.Errorf("%v, want %v", err, why)
	}
	if err := <-ended; err != errGone {
		t.Errorf("the handler's cause is %v, want %v", err, errGone)
	}
}

// TestClosed: the end of the server cancels its handlers and tells their callers.
func TestClosed(t *testing.T) {
	path, began := socketPath(t), make(chan bool)
	s, err := Serve(path, nil, func(ctx context.Context, _ Request, _ func(any) error) (any, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	idle := dial(t, path)
	go func() {
		<-began
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := Call(t.Context(), path, Request{}, nil); err == nil {
		t.Error("a result from an engine that has gone")
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived the server")
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket outlived the server")
	}
}

// TestSeveral: requests follow one another on a connection, and connections do not wait for each other.
func TestSeveral(t *testing.T) {
	path := served(t, patience, echo)
	var all sync.WaitGroup
	for i := range maxPeers - 1 {
		c := dial(t, path)
		all.Go(func() {
			in := bufio.NewScanner(c)
			for j := range 20 {
				fmt.Fprintf(c, "\n{\"version\":1,\"do\":\"%d-%d\",\"binding\":\"x\"}\n", i, j)
				in.Scan() // progress, then the answer
				if in.Scan(); !strings.Contains(in.Text(), fmt.Sprintf(`"do":"%d-%d"`, i, j)) {
					t.Errorf("%d-%d: %s %v", i, j, in.Text(), in.Err())
				}
			}
		})
	}
	all.Wait()
}

// TestHostile: what is no request gets one line with an error, and is the end of its connection alone.
func TestHostile(t *testing.T) {
	path := served(t, patience, echo)
	good := dial(t, path)
	for name, test := range map[string]struct{ send, want string }{
		"words":        {"status\n", "want a line such as"},
		"a list":       {"[1]\n", "want a line such as"},
		"no version":   {`{"do":"x"}` + "\n", "version 0 of the protocol, want 1"},
		"a later one":  {`{"version":2,"what":"x"}` + "\n", "version 2 of the protocol, want 1"},
		"unknown key":  {`{"version":1,"bindings":"x"}` + "\n", "bindings"},
		"wrong type":   {`{"version":1,"shadow":"x"}` + "\n", "shadow"},
		"two values":   {`{"version":1}{"version":1}` + "\n", "more than one value"},
		"not UTF-8":    {"{\"version\":1,\"do\":\"\xff\"}\n", "not UTF-8"},
		"nothing":      {"\x00\x00\x00\n", "want a line such as"},
		"a long line":  {strings.Repeat("x", maxRequest+1), "longer than 65536 bytes"},
		"deep nesting": {strings.Repeat("[", maxRequest-2) + "\n", "want a line such as"},
	} {
		c := dial(t, path)
		if _, err := c.Write([]byte(test.send)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		in := bufio.NewScanner(c)
		in.Scan()
		if r, err := parseReply(in.Bytes()); err != nil || !r.Done || !strings.Contains(r.Error, test.want) {
			t.Errorf("%s: %s, want %q", name, in.Text(), test.want)
		}
		if in.Scan() {
			t.Errorf("%s: and then %s", name, in.Text())
		}
	}
	for _, half := range []string{"", "{", `{"version":1,"do":"x"}`} { // and gone
		c := dial(t, path)
		fmt.Fprint(c, half)
		c.Close()
	}
	fmt.Fprintln(good, `{"version":1}`)
	if line, err := bufio.NewReader(good).ReadString('\n'); err != nil || !strings.Contains(line, `"done":true`) {
		t.Errorf("a bystander: %s, %v", line, err)
	}
}

// TestSlow: who sends a line byte by byte, or nothing, loses the connection in the end.
func TestSlow(t *testing.T) {
	path := served(t, 50*time.Millisecond, echo)
	silent, slow := dial(t, path), dial(t, path)
	end := make(chan error)
	go func() {
		for {
			if _, err := slow.Write([]byte(" ")); err != nil {
				end <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	<-end
	if n, err := silent.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes, want the end", n)
	}
	if _, err := Call(t.Context(), path, Request{}, nil); err != nil {
		t.Error(err)
	}
}

// TestDeaf: who does not read its events loses the connection, and the handler is told.
func TestDeaf(t *testing.T) {
	ended := make(chan error, 1)
	path := served(t, 50*time.Millisecond, func(ctx context.Context, _ Request, event func(any) error) (any, error) {
		for {
			if err := event(strings.Repeat("x", 1<<16)); err != nil {
				<-ctx.Done()
				ended <- err
				return nil, err
			}
		}
	})
	fmt.Fprintln(dial(t, path), `{"version":1}`)
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

// TestFull: more connections than there may be are told so.
func TestFull(t *testing.T) {
	path := served(t, patience, echo)
	for range maxPeers {
		c := dial(t, path)
		fmt.Fprintln(c, `{"version":1}`)
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Call(t.Context(), path, Request{}, nil); err == nil || !strings.Contains(err.Error(), "16 connections are open") {
		t.Errorf("%v", err)
	}
}

// TestLargeReply is an error, not a line that no caller takes.
func TestLargeReply(t *testing.T) {
	path := served(t, patience, func(context.Context, Request, func(any) error) (any, error) {
		return strings.Repeat("x", maxReply), nil
	})
	if _, err := Call(t.Context(), path, Request{}, nil); err == nil || !strings.Contains(err.Error(), "a reply of ") {
		t.Errorf("%v", err)
	}
}

// FuzzRequest: what is accepted is what its line says.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"version":1,"do":"swap","binding":"x","shadow":-1}`, `{"version":1e0}`, `{"VERSION":1}`, `{"version":1}}`, `null`, `{"version":1,"version":2}`, "{\"version\":1,\"do\":\"\\ud800\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseRequest(line)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := parseRequest(again); err != nil || s.Do != r.Do || s.Binding != r.Binding || s.Reason != r.Reason || (s.Shadow == nil) != (r.Shadow == nil) {
			t.Errorf("%s became %s: %v", line, again, err)
		}
	})
}

// FuzzReplies has an engine that sends anything.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{`{"version":1,"done":true,"result":{}}` + "\n", "{\"version\":1,\"event\":1}\n{\"version\":1,\"done\":true,\"error\":\"x\"}\n", "\n", `{"version":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		raw, err := replies(bytes.NewReader(stream), func(e json.RawMessage) error {
			if len(e) > 0 && !json.Valid(e) {
				t.Errorf("event %q", e)
			}
			return nil
		})
		if err == nil && len(raw) > 0 && !json.Valid(raw) {
			t.Errorf("result %q", raw)
		}
	})
}
