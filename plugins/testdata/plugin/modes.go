package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/internal/wire"
)

// beforeHandshake are the modes of a program that does not become a plugin.
var beforeHandshake = map[string]func(){
	"exit": func() { os.Exit(3) },
	"garbage": func() {
		fmt.Println("hello, this is no handshake")
		time.Sleep(time.Hour)
	},
	"flood first": func() {
		for {
			fmt.Print(strings.Repeat("x", 300<<10))
		}
	},
	"version": func() {
		fmt.Println("1|99|unix|/nowhere|grpc|")
		time.Sleep(time.Hour)
	},
	"cookie": func() { // what a plugin of another program says
		os.Setenv("TROUPE_PLUGIN", "")
	},
	"address": func() {
		fmt.Printf("1|%d|tcp|127.0.0.1:1|grpc|\n", wire.Version)
		time.Sleep(time.Hour)
	},
	"elsewhere": func() {
		fmt.Printf("1|%d|unix|/tmp/some-other.sock|grpc|\n", wire.Version)
		time.Sleep(time.Hour)
	},
	"slow":          func() { time.Sleep(time.Hour) },
	"stopped first": func() { signal(syscall.SIGSTOP) },
	"panic first":   func() { panic("not today") },
}

func signal(s syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), s)
	time.Sleep(time.Hour)
}

// inKernel are the modes of a kernel: called instead of it, but for those that call it themselves.
var inKernel = map[string]func(k *kernel, f *kernels.Frame) error{
	"panic": func(*kernel, *kernels.Frame) error { panic("BUG: a test of panics") },
	"nil":   func(*kernel, *kernels.Frame) error { return write(nil) },
	"wild": func(_ *kernel, f *kernels.Frame) error {
		return write(unsafe.Add(unsafe.Pointer(&f.Bufs[0][0]), -1<<38))
	},
	"segv":    func(*kernel, *kernels.Frame) error { signal(syscall.SIGSEGV); return nil },
	"sigill":  func(*kernel, *kernels.Frame) error { signal(syscall.SIGILL); return nil },
	"sigkill": func(*kernel, *kernels.Frame) error { signal(syscall.SIGKILL); return nil },
	"sigstop": func(*kernel, *kernels.Frame) error { signal(syscall.SIGSTOP); return nil },
	"leave":   func(*kernel, *kernels.Frame) error { os.Exit(0); return nil },
	"sleep":   func(*kernel, *kernels.Frame) error { time.Sleep(time.Hour); return nil },
	"spin": func(*kernel, *kernels.Frame) error {
		for {
		}
	},
	"error":      func(*kernel, *kernels.Frame) error { return errors.New("a test of errors") },
	"long error": func(*kernel, *kernels.Frame) error { return errors.New(strings.Repeat("long ", 1<<18)) },
	"other panic": func(*kernel, *kernels.Frame) error {
		go panic("in another goroutine")
		time.Sleep(time.Hour)
		return nil
	},
	"input":     func(k *kernel, f *kernels.Frame) error { f.Bufs[k.calls[0].In[0]][0]++; return k.Run(f) },
	"lazy":      func(*kernel, *kernels.Frame) error { return nil },
	"nan":       odd(float32(math.NaN())),
	"inf":       odd(float32(math.Inf(-1))),
	"nan key":   func(k *kernel, f *kernels.Frame) error { return badKey(k, f) },
	"truncate":  func(k *kernel, f *kernels.Frame) error { truncate(); return k.Kernel.Run(f) },
	"reopen":    func(k *kernel, f *kernels.Frame) error { reopen(); return k.Kernel.Run(f) },
	"late":      func(k *kernel, f *kernels.Frame) error { time.Sleep(300 * time.Millisecond); return k.Kernel.Run(f) },
	"shouting":  func(k *kernel, f *kernels.Frame) error { shout(); return k.Kernel.Run(f) },
	"status":    tamper(func(c *control) { c.Answer.Status.Store(77) }),
	"no status": tamper(func(c *control) { c.Answer.Status.Store(0) }),
	"number":    tamper(func(c *control) { c.Response.Number.Store(123456) }),
	"long text": tamper(func(c *control) { c.Answer.Status.Store(2); c.Answer.Text.Store(math.MaxUint32) }),
	"grandchild": func(*kernel, *kernels.Frame) error {
		c := exec.Command("sleep", "20")
		c.Stdout, c.Stderr = os.Stdout, os.NewFile(2, "stderr")
		_ = c.Start()
		os.Exit(4)
		return nil
	},
}

func write(p unsafe.Pointer) error {
	*(*int)(p) = 1
	return nil
}

// odd computes, and puts a number into the output.
func odd(x float32) func(*kernel, *kernels.Frame) error {
	return func(k *kernel, f *kernels.Frame) error {
		err := k.Kernel.Run(f)
		out := f.Bufs[k.calls[0].Out[0]]
		out[len(out)-1] = x
		return err
	}
}

// badKey computes, and then spoils a key that was stored.
func badKey(k *kernel, f *kernels.Frame) error {
	err := k.Kernel.Run(f)
	l, block := f.Cache.Layers[k.calls[0].Layer], f.Rows.Tables[0][f.Rows.Pos[0]/kernels.BlockTokens]
	at := int(block)*f.Cache.BlockSize() + int(f.Rows.Pos[0])%kernels.BlockTokens
	if f.Cache.Half {
		l.K16[at] = 0x7fc0
	} else {
		l.K32[at] = float32(math.NaN())
	}
	return err
}

// truncate tries to change the size of everything that the process holds.
func truncate() {
	for fd := 3; fd < 256; fd++ {
		_ = syscall.Ftruncate(fd, 0)
		_ = syscall.Ftruncate(fd, 1<<20)
	}
}

// reopen tries to write to what the process was given for reading.
func reopen() {
	for fd := 3; fd < 256; fd++ {
		link := fmt.Sprintf("/proc/self/fd/%d", fd)
		name, err := os.Readlink(link)
		if err != nil || strings.Contains(name, "exchange") || !strings.Contains(name, "troupe-") {
			continue
		}
		f, err := os.OpenFile(link, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		_, _ = f.WriteAt([]byte(strings.Repeat("z", 1<<12)), 0)
		if mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err == nil {
			copy(mem, strings.Repeat("z", 4096))
		}
		f.Close()
	}
}

var shouts bool

// shout begins to write long lines for ever, both ways.
func shout() {
	if shouts {
		return
	}
	shouts = true
	line := strings.Repeat("y", 300<<10) + "\n"
	for _, w := range []io.Writer{os.NewFile(1, "stdout"), os.NewFile(2, "stderr"), os.Stdout, os.Stderr} {
		go func() {
			for {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}()
	}
}

// spoil makes a variant's kernels misbehave.
func spoil(v kernels.Variant, mode string) kernels.Variant {
	open := v.Open
	v.Open = func(t kernels.Threads) (kernels.Library, error) {
		lib, err := open(t)
		if err == nil && (inKernel[mode] != nil || inCompile[mode] != nil || inClose[mode] != nil) {
			lib = &library{lib, mode}
		}
		return lib, err
	}
	return v
}

var inCompile = map[string]func(){
	"compile panic": func() { panic("a test of panics") },
	"compile exit":  func() { os.Exit(5) },
	"compile sleep": func() { time.Sleep(time.Hour) },
}

var inClose = map[string]func(){
	"close sleep": func() { time.Sleep(time.Hour) },
	"close panic": func() { panic("a test of panics") },
}

type library struct {
	kernels.Library
	mode string
}

func (l *library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	if f := inCompile[l.mode]; f != nil {
		f()
	}
	k, err := l.Library.Compile(s)
	if f := inKernel[l.mode]; f != nil && err == nil {
		return &kernel{k, s.Calls, f}, nil
	}
	return k, err
}

func (l *library) Close() error {
	if f := inClose[l.mode]; f != nil {
		f()
	}
	return l.Library.Close()
}

type kernel struct {
	kernels.Kernel
	calls []kernels.Call
	mode  func(*kernel, *kernels.Frame) error
}

func (k *kernel) Run(f *kernels.Frame) error { return k.mode(k, f) }
