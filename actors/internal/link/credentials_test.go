package link

import (
	"strings"
	"testing"

	"troupe/credentials"
)

// identified is a link with a certificate of a directory.
func identified(t *testing.T, dir, name string) Config {
	t.Helper()
	id, err := credentials.Load(dir, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := plain("127.0.0.1:0")
	c.Server, c.Client = id.Server, id.Client
	return c
}

// What troupe cert makes is what links take, and one that is made anew serves the next connections.
func TestCredentials(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		if _, err := credentials.MakeAuthority(d, 10, false); err != nil {
			t.Fatal(err)
		}
		if _, err := credentials.Make(d, "a", []string{"127.0.0.1"}, 1, false); err != nil {
			t.Fatal(err)
		}
	}
	here, system := started(t, identified(t, dir, "a"))
	there, _ := started(t, identified(t, dir, "a"))
	stranger, _ := started(t, identified(t, other, "a"))
	if err := here.Probe(patient(t), there.Address()); err != nil {
		t.Fatal(err)
	}
	asks(t, system, there.Address(), []byte("x"))
	if err := here.Probe(patient(t), stranger.Address()); err == nil || !strings.Contains(err.Error(), "authority that this side does not know") {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := credentials.Make(dir, "a", []string{"192.0.2.1", "elsewhere.example"}, 1, true); err != nil {
		t.Fatal(err)
	}
	if err := here.Probe(patient(t), there.Address()); err == nil || !strings.Contains(err.Error(), "its certificate is for another host") {
		t.Errorf("after a certificate for another host: %v", err)
	}
	asks(t, system, there.Address(), []byte("the connection that is there lives on"))
}
