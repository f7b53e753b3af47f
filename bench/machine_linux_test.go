package bench

import (
	"os/exec"
	"testing"
	"time"
)

// The time of a child counts as ours, while it runs and when it has ended.
func TestUsageOfChildren(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	before := lookAtUsage()
	cmd := exec.Command(sh, "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const enough = 10 * tick
	for end := time.Now().Add(time.Minute); childrenTime() < enough; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a busy child has used %v in a minute", childrenTime())
		}
	}
	running := lookAtUsage().ours - before.ours
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is that it was killed
	if ended := lookAtUsage().ours - before.ours; running < enough || ended < running {
		t.Errorf("%v while it ran, %v when it had ended, want %v at least", running, ended, enough)
	}
}
