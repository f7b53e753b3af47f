package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// made is a directory with an authority and a certificate "a" for 127.0.0.1 and a.example.
func made(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := MakeAuthority(dir, AuthorityDays, false); err != nil {
		t.Fatal(err)
	}
	make1(t, dir, "a", "127.0.0.1", "A.example")
	return dir
}

func make1(t *testing.T, dir, name string, hosts ...string) Certificate {
	t.Helper()
	c, err := Make(dir, name, hosts, NodeDays, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loaded(t *testing.T, dir, name string) *Identity {
	t.Helper()
	i, err := Load(dir, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// meet has two ends shake hands and speak, and returns both errors.
func meet(server, client *tls.Config, host string) (errServer, errClient error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	client = client.Clone()
	client.ServerName = host
	done := make(chan error)
	go func() {
		s := tls.Server(a, server)
		_, err := s.Write([]byte("x")) // what a peer that is refused does not get
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	_, errClient = io.ReadFull(tls.Client(b, client), make([]byte, 1))
	if errClient != nil {
		b.Close()
	}
	return <-done, errClient
}

func TestMeet(t *testing.T) {
	dir := made(t)
	make1(t, dir, "b", "fd00::3")
	a, b := loaded(t, dir, "a"), loaded(t, dir, "b")
	for host, pair := range map[string][2]*Identity{"127.0.0.1": {a, b}, "a.example": {a, b}, "fd00::3": {b, a}} {
		if s, c := meet(pair[0].Server, pair[1].Client, host); s != nil || c != nil {
			t.Errorf("%s: %v, %v", host, s, c)
		}
	}
	if _, err := meet(a.Server, b.Client, "b.example"); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("another host: %v", err)
	}
	other := loaded(t, made(t), "a")
	if _, err := meet(a.Server, other.Client, "127.0.0.1"); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("another authority's server: %v", err)
	}
	trusting := other.Client.Clone()
	trusting.RootCAs = a.Client.RootCAs
	if s, c := meet(a.Server, trusting, "127.0.0.1"); s == nil || c == nil {
		t.Errorf("another authority's client was let in: %v, %v", s, c)
	}
	none := &tls.Config{RootCAs: a.Client.RootCAs}
	if s, c := meet(a.Server, none, "127.0.0.1"); s == nil || c == nil {
		t.Errorf("a client without a certificate was let in: %v, %v", s, c)
	}
	if i := loaded(t, dir, "a"); i.Covers("a.example") != nil || i.Covers("127.0.0.1") != nil {
		t.Error("a does not cover its hosts")
	} else if err := i.Covers("b.example"); err == nil || !strings.Contains(err.Error(), "troupe cert add a --host a.example --host 127.0.0.1 --host b.example --force") {
		t.Errorf("got %v", err)
	}
}

func TestFiles(t *testing.T) {
	dir := made(t)
	if runtime.GOOS != "windows" {
		for file, want := range map[string]os.FileMode{"ca.key": 0o600, "a.key": 0o600, "ca.pem": 0o644, "a.pem": 0o644, ".": 0o700} {
			if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want %v", file, info.Mode(), err, want)
			}
		}
	}
	before, err := os.ReadFile(filepath.Join(dir, "a.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(force bool) error{
		func(force bool) error { _, err := Make(dir, "a", []string{"x.example"}, 1, force); return err },
		func(force bool) error { _, err := MakeAuthority(dir, 1, force); return err },
	} {
		if err := f(false); err == nil || !strings.Contains(err.Error(), "is there: --force replaces it") {
			t.Errorf("got %v", err)
		}
		after, _ := os.ReadFile(filepath.Join(dir, "a.pem"))
		if string(after) != string(before) {
			t.Fatal("a certificate was replaced without force")
		}
	}
	if _, err := Make(dir, "a", []string{"x.example"}, 1, true); err != nil {
		t.Error(err)
	}
	if i := loaded(t, dir, ""); !slices.Equal(i.Hosts, []string{"x.example"}) {
		t.Errorf("hosts %v", i.Hosts)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".new-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWishes(t *testing.T) {
	dir := made(t)
	cases := map[string]struct {
		name  string
		hosts []string
		days  int
		want  string // "" for none
	}{
		"address":            {"x1", []string{"10.0.0.3", "::1", "::ffff:10.0.0.4"}, 1, ""},
		"names":              {"x2", []string{"a", "a-b.example", "a_b.example", "xn--bcher-kva.example"}, 1, ""},
		"no name":            {"", []string{"a"}, 1, "name"},
		"a path":             {"../x", []string{"a"}, 1, "name"},
		"the authority":      {"CA", []string{"a"}, 1, "name"},
		"hidden":             {".x", []string{"a"}, 1, "name"},
		"a flag":             {"-x", []string{"a"}, 1, "name"},
		"long":               {strings.Repeat("x", 65), []string{"a"}, 1, "name"},
		"no host":            {"x", nil, 1, "0 hosts"},
		"many hosts":         {"x", make([]string, maxHosts+1), 1, "101 hosts"},
		"empty host":         {"x", []string{""}, 1, "without a port"},
		"a port":             {"x", []string{"a:7000"}, 1, "without a port"},
		"any host":           {"x", []string{"*"}, 1, "without a port"},
		"a mistyped address": {"x", []string{"10.0.0.300"}, 1, "without a port"},
		"every address":      {"x", []string{"0.0.0.0"}, 1, "every address"},
		"a zone":             {"x", []string{"fe80::1%eth0"}, 1, "without a port"},
		"a space":            {"x", []string{"a b"}, 1, "without a port"},
		"not ASCII":          {"x", []string{"bücher.example"}, 1, "without a port"},
		"no days":            {"x", []string{"a"}, 0, "0 days"},
		"too many days":      {"x", []string{"a"}, mostDays + 1, "36501 days"},
		"outlives":           {"x", []string{"a"}, AuthorityDays + 5, "want at most 36"},
	}
	for name, c := range cases {
		_, err := Make(dir, c.name, c.hosts, c.days, false)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
	}
	for host, want := range map[string]string{"a.example": "a.example", "10.0.0.3": "10.0.0.3", "::1": "ip6-1", "fd00::3": "ip6-fd00--3"} {
		if got := NameOf(host); got != want || CheckName(got) != nil {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// Each way in which files are of no use has its words, and the same in the list.
func TestBroken(t *testing.T) {
	other := made(t)
	write := func(dir, file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied := func(dir, file, from string) {
		b, err := os.ReadFile(filepath.Join(other, from))
		if err != nil {
			t.Fatal(err)
		}
		write(dir, file, string(b))
	}
	cases := map[string]struct {
		spoil func(dir string)
		want  string
	}{
		"open key":                {func(dir string) { os.Chmod(filepath.Join(dir, "a.key"), 0o640) }, "chmod 600 "},
		"no key":                  {func(dir string) { os.Remove(filepath.Join(dir, "a.key")) }, "no such file"},
		"another's key":           {func(dir string) { copied(dir, "a.key", "a.key") }, "do not belong together"},
		"another's authority":     {func(dir string) { copied(dir, "ca.pem", "ca.pem") }, "not of the authority in ca.pem"},
		"key where a certificate": {func(dir string) { copied(dir, "a.pem", "a.key") }, "want certificates alone"},
		"authority as node":       {func(dir string) { copied(dir, "a.pem", "ca.pem"); copied(dir, "ca.pem", "ca.pem") }, "it names no host"},
		"node as authority":       {func(dir string) { copied(dir, "ca.pem", "a.pem") }, "no authority's certificate"},
		"empty":                   {func(dir string) { write(dir, "a.pem", "") }, "no certificate in it"},
		"garbage": {func(dir string) {
			write(dir, "a.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, "certificate 1"},
		"empty key":                 {func(dir string) { write(dir, "a.key", "") }, "are no PEM"},
		"large":                     {func(dir string) { write(dir, "a.pem", strings.Repeat("x", maxFile+1)) }, "want at most"},
		"directory":                 {func(dir string) { os.Remove(filepath.Join(dir, "a.pem")); os.Mkdir(filepath.Join(dir, "a.pem"), 0o700) }, "no file"},
		"no authority":              {func(dir string) { os.Remove(filepath.Join(dir, "ca.pem")) }, "copy it from where"},
		"no certificate of a node":  {func(dir string) { os.Remove(filepath.Join(dir, "a.pem")) }, "no certificate of a node"},
		"several":                   {func(dir string) { make1(t, dir, "b", "b") }, "has several certificates, a, b: name one, as "},
		"no directory":              {func(dir string) { os.RemoveAll(dir) }, "is not there: troupe cert makes"},
		"a file for the directory":  {func(dir string) { os.RemoveAll(dir); write(filepath.Dir(dir), "certs", "x") }, "not a directory"},
		"authority without its key": {func(dir string) { os.Remove(filepath.Join(dir, "ca.key")) }, ""},
	}
	for name, c := range cases {
		if runtime.GOOS == "windows" && name == "open key" {
			continue
		}
		dir := made(t)
		c.spoil(dir)
		_, err := Load(dir, "", nil)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
		list, errList := List(dir)
		bad := slices.ContainsFunc(list, func(c Certificate) bool { return c.Problem != nil })
		if quiet := name == "several" || name == "no certificate of a node"; !quiet && (err != nil) != (errList != nil || bad) {
			t.Errorf("%s: list %v, %v, and Load says %v", name, list, errList, err)
		}
	}
	for _, c := range []struct{ file, want string }{{"ca.key", "are made where the authority was"}, {"ca.pem", "troupe cert init makes one"}} {
		dir := made(t)
		os.Remove(filepath.Join(dir, c.file))
		if _, err := Make(dir, "x", []string{"x"}, 1, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("without %s: %v", c.file, err)
		}
	}
}

func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		day := 24 * time.Hour
		dir := made(t)
		early := filepath.Join(dir, "early.pem")
		if loaded(t, dir, "a").Soon() {
			t.Error("a new certificate is about to end")
		}
		time.Sleep((NodeDays - 20) * day)
		if !loaded(t, dir, "a").Soon() {
			t.Error("20 days are left, and it does not end soon")
		}
		make1(t, dir, "early", "x")
		time.Sleep(30 * day)
		if _, err := Load(dir, "a", nil); err == nil || !strings.Contains(err.Error(), "it has ended on 2000-12-31: troupe cert add") {
			t.Errorf("after its end: %v", err)
		}
		list, err := List(dir)
		if err != nil || len(list) != 3 || list[0].Problem != nil || list[1].Problem == nil || list[2].Problem != nil || list[2].File != early {
			t.Errorf("list: %+v, %v", list, err)
		}
		time.Sleep((AuthorityDays - NodeDays) * day)
		if _, err := Load(dir, "early", nil); err == nil || !strings.Contains(err.Error(), "the authority has ended") {
			t.Errorf("after the authority's end: %v", err)
		}
		if _, err := Make(dir, "late", []string{"x"}, 1, false); err == nil || !strings.Contains(err.Error(), "the authority has ended") {
			t.Errorf("after the authority's end: %v", err)
		}
	})
}

// A certificate that is made anew while a process runs serves its next connections; one that is of no use does not.
func TestReplaced(t *testing.T) {
	dir := made(t)
	var told []error
	i, err := Load(dir, "a", func(c Certificate, err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	if s, c := meet(i.Server, i.Client, "a.example"); s != nil || c != nil || len(told) != 0 {
		t.Fatalf("%v, %v, %v", s, c, told)
	}
	if _, err := Make(dir, "a", []string{"b.example", "another-one.example"}, NodeDays, true); err != nil { // of another size, whatever the clock
		t.Fatal(err)
	}
	if s, c := meet(i.Server, i.Client, "b.example"); s != nil || c != nil || len(told) != 1 || told[0] != nil {
		t.Errorf("after a new one: %v, %v, %v", s, c, told)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, c := meet(i.Server, i.Client, "b.example"); s != nil || c != nil || len(told) != 2 || told[1] == nil {
		t.Errorf("after one of no use: %v, %v, %v", s, c, told)
	}
}

func TestSplit(t *testing.T) {
	dir := made(t)
	for path, want := range map[string][2]string{
		dir: {dir, ""}, filepath.Join(dir, "a"): {dir, "a"}, filepath.Join(dir, "a.pem"): {dir, "a"}, filepath.Join(dir, "b"): {dir, "b"},
		filepath.Join(dir, "no", "x"): {filepath.Join(dir, "no", "x"), ""},
	} {
		if d, n := Split(path); d != want[0] || n != want[1] {
			t.Errorf("%s: %q, %q, want %q", path, d, n, want)
		}
	}
}

// FuzzParse reads any bytes as certificates.
func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	dir := f.TempDir()
	if _, err := MakeAuthority(dir, 1, false); err != nil {
		f.Fatal(err)
	}
	for _, file := range []string{"ca.pem", "ca.key"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseCertificates(b)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%d certificates, %v", len(list), err)
		}
		if err == nil {
			_ = checkNode(list, x509.NewCertPool())
		}
	})
}
