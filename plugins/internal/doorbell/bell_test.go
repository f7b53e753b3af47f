//go:build unix

package doorbell

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func sockets(t *testing.T) (a, b *Socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Socket
	for i, fd := range fds {
		if ends[i], err = NewSocket(os.NewFile(uintptr(fd), "bell")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// Two sides count together, now spinning, now asleep; waiting ends without an answer as well.
func TestBell(t *testing.T) {
	wakers := map[string]func() (a, b Waker){
		"socket": func() (Waker, Waker) { a, b := sockets(t); return a, b },
	}
	if HasFutex {
		wakers["futex"] = func() (Waker, Waker) { return Futex{}, Futex{} }
	}
	for name, pair := range wakers {
		t.Run(name, func(t *testing.T) {
			var there, back Words
			wa, wb := pair()
			a, b := Bell{Out: &there, In: &back, Wake: wa}, Bell{Out: &back, In: &there, Wake: wb}
			if n := a.Await(0, time.Millisecond); n != 0 {
				t.Errorf("nobody has rung: %d", n)
			}
			const rounds = 300
			done := inBackground(func() {
				for n := uint32(0); n < rounds; {
					if got := b.Await(n, time.Second); got != n {
						if n = got; n%50 == 0 {
							time.Sleep(2 * time.Millisecond) // until the other side sleeps
						}
						b.Send(n)
					}
				}
			})
			for n := uint32(1); n <= rounds; n++ {
				if n%70 == 0 {
					time.Sleep(2 * time.Millisecond)
				}
				a.Send(n)
				got := n - 1
				for got == n-1 {
					got = a.Await(n-1, time.Second)
				}
				if got != n {
					t.Fatalf("%d, want %d", got, n)
				}
			}
			<-done
		})
	}
}

func inBackground(f func()) chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}
