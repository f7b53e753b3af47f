package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exits, outer, inner int
		in := &interrupts{exit: func(code int) { exits += code }}
		want := func(what string, e, o, i int) {
			t.Helper()
			if exits != e || outer != o || inner != i {
				t.Errorf("%s: %d exits, outer asked %d times, inner %d; want %d, %d, %d", what, exits, outer, inner, e, o, i)
			}
		}
		in.catch(func() { outer++ })
		release := in.catch(func() { inner++ })
		in.signal()
		want("the inner one is asked first", 0, 0, 1)
		in.signal()
		want("two signals at once are one", 0, 0, 1)
		release()
		in.signal()
		want("then the outer one", 0, 1, 1)
		time.Sleep(time.Second)
		in.signal()
		want("a second signal ends at once", 1, 1, 1)
		release = in.catch(func() { inner++ })
		in.signal()
		want("a new one has not been asked yet", 1, 1, 2)
		release()
		release()
		(&interrupts{exit: in.exit}).signal()
		want("nobody to ask", 2, 1, 2)
	})
}
