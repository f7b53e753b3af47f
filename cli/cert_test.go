package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestCert(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	o := troupe(t, "", "cert", "--out", dir, "--hosts", "a.example, fd00::3").ok(t)
	for _, want := range []string{"ca: authority; until ", " (3,650 days)\n  SHA256:", "\na.example: a.example; until ", "(365 days)", "\nip6-fd00--3: fd00::3; "} {
		if !strings.Contains(o.out, want) {
			t.Errorf("no %q in %s", want, o.out)
		}
	}
	if !strings.Contains(o.err, "ca.key stays here") {
		t.Errorf("got %q", o.err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "cert", "--dir", dir, "--hosts", "b.example,a.example"); o.code != exitFailed || !strings.Contains(o.err, "a.example.pem is there: --force replaces it") {
		t.Errorf("a certificate that is there: %+v", o)
	}
	if _, err := os.Stat(filepath.Join(dir, "b.example.pem")); err == nil {
		t.Error("one of two was made")
	}
	troupe(t, "", "cert", "--out", dir).ok(t) // the name node, by the authority that is there
	if now, _ := os.ReadFile(filepath.Join(dir, "ca.pem")); string(now) != string(authority) {
		t.Error("the authority was replaced")
	}
	o = troupe(t, "", "cert", "add", "c", "--out", dir, "--host", "c.example", "--host", "10.0.0.3", "--days", "7").ok(t)
	if !strings.Contains(o.out, "c: c.example, 10.0.0.3; until ") || !strings.Contains(o.out, "ends soon") {
		t.Errorf("got %s", o.out)
	}
	var list []certificateReport
	if err := json.Unmarshal([]byte(troupe(t, "", "cert", "--out", dir, "show", "--json").ok(t).out), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
		if c.Authority != (c.Name == "ca") || len(c.Hosts) == 0 != c.Authority || c.EndsSoon != (c.Name == "c") || c.Problem != "" || len(c.Fingerprint) != len("SHA256:")+64 {
			t.Errorf("got %+v", c)
		}
	}
	if got := strings.Join(names, " "); got != "ca a.example c ip6-fd00--3 node" {
		t.Errorf("names %s", got)
	}
	if o := troupe(t, "", "cert", "show", "c", "--out", dir).ok(t); strings.Contains(o.out, "a.example") || !strings.HasPrefix(o.out, "c: ") {
		t.Errorf("got %s", o.out)
	}
	troupe(t, "", "cert", "init", "--out", dir, "--force").ok(t)
	o = troupe(t, "", "cert", "show", "--out", dir)
	if o.code != exitFailed || strings.Count(o.out, "cannot be used") != 4 || !strings.Contains(o.err, "a.example.pem cannot be used") {
		t.Errorf("after another authority: %+v", o)
	}
}

// readsLink has a command with the flags read them.
func readsLink(t *testing.T, args ...string) (s linkSettings, log string, err error) {
	t.Helper()
	var out, errs strings.Builder
	p := newProgram(&interrupts{}, nil, &out, &errs)
	c := &cli.Command{Name: "x", Flags: linkFlags(""), Action: func(c *cli.Context) error { s, err = p.readLink(c); return nil }}
	app := p.app()
	app.Commands = append(app.Commands, c)
	p.prepare(c, "")
	p.args = append([]string{"troupe", "x"}, args...)
	if err := app.RunContext(t.Context(), p.args); err != nil {
		t.Fatal(err)
	}
	return s, errs.String(), err
}

func TestReadLink(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	if _, _, err := readsLink(t); err == nil || !strings.Contains(err.Error(), "is not there: troupe cert makes an authority and certificates (--insecure does without") {
		t.Errorf("without certificates: %v", err)
	}
	troupe(t, "", "cert", "--hosts", "127.0.0.1").ok(t)
	s, log, err := readsLink(t)
	if err != nil || s.identity == nil || s.server == nil || s.client == nil || log != "" {
		t.Fatalf("%+v, %q, %v", s, log, err)
	}
	if err := s.checkOwn("listen", "127.0.0.1:7000"); err != nil {
		t.Error(err)
	}
	for _, address := range []string{"10.0.0.3:7000", "nonsense"} {
		if err := s.checkOwn("advertise", address); err == nil || !strings.HasPrefix(err.Error(), "--advertise: ") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := s.checkPeer("workers", "10.0.0.3:7000"); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		address        string
		advertised, ok bool
	}{{"127.0.0.1:7001", false, true}, {"0.0.0.0:7001", false, true}, {"[::]:7001", false, true}, {":7001", true, true}, {"10.0.0.3:7001", true, true}, {"10.0.0.3:7001", false, false}, {"nonsense", true, false}} {
		if err := s.checkDataListen(test.address, test.advertised); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
	dir := filepath.Join(home, "troupe", "certs")
	troupe(t, "", "cert", "add", "b", "--host", "b", "--days", "3").ok(t)
	if _, _, err := readsLink(t, "--cert", dir); err == nil || !strings.Contains(err.Error(), "several certificates") {
		t.Errorf("two certificates: %v", err)
	}
	if _, log, err := readsLink(t, "--cert", filepath.Join(dir, "b")); err != nil || !strings.Contains(log, "ends soon") {
		t.Errorf("%q, %v", log, err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(dir, "b.key"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readsLink(t, "--cert", filepath.Join(dir, "b")); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("an open key: %v", err)
		}
	}
	if _, _, err := readsLink(t, "--cert", dir, "--insecure"); err == nil || !strings.Contains(err.Error(), "give one of them") {
		t.Errorf("both flags: %v", err)
	}
	s, _, err = readsLink(t, "--insecure")
	if err != nil || s.server != nil || s.client != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := s.checkDataListen("0.0.0.0:7001", true); err == nil {
		t.Error("plain text on all addresses is fine")
	}
	for address, ok := range map[string]bool{"127.0.0.1:0": true, "[::1]:7000": true, "localhost:7000": true, "0.0.0.0:7000": false, ":7000": false, "a.example:7000": false, "127.0.0.1": false} {
		if err := s.checkOwn("listen", address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		if err := s.checkPeer("workers", address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}
