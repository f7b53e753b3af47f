//go:build cuda && cgo && linux && (amd64 || arm64)

package driver_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"troupe/plugins/cuda/driver"
)

// A program starts on a machine without a driver, and without GPUs, and says what is missing.
func TestCheck(t *testing.T) {
	if os.Getenv("DRIVER_TEST_CHILD") != "" {
		if err := driver.Check(); err != nil {
			t.Log(err)
		} else {
			t.Log("all is well")
		}
		return
	}
	child := func(setting string) string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCheck$", "-test.v")
		cmd.Env = append(os.Environ(), "DRIVER_TEST_CHILD=1", setting)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", setting, err, out)
		}
		return string(out)
	}
	empty := "LD_LIBRARY_PATH=" + t.TempDir()
	if out := child(empty); strings.Contains(out, "all is well") || strings.Contains(out, "cuInit") {
		t.Logf("a driver is installed where the loader finds it")
	} else if want := "no NVIDIA driver (libcuda.so.1 not found)"; !strings.Contains(out, want) {
		t.Errorf("without a driver: %s, want %q", out, want)
	}
	if out := child("CUDA_FAKE_DEVICES=0"); !strings.Contains(out, "error 100") {
		t.Skipf("the rest is for the fake driver alone (task gpu:fake): %s", out)
	}
	for setting, want := range map[string]string{
		"CUDA_FAKE_DEVICES=0":         "finds no GPU (cuInit: error 100)",
		"CUDA_FAKE_FAIL=cuInit:1:803": "does not fit its kernel module",
		"CUDA_FAKE_FAIL=cuInit:1:802": "nvidia-fabricmanager",
		"CUDA_FAKE_FAIL=cuInit:1:999": "does not start (cuInit: error 999)",
		"CUDA_FAKE_DEVICES=1":         "all is well",
	} {
		if out := child(setting); !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %q", setting, out, want)
		}
	}
}
