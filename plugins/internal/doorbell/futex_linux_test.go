package doorbell

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// More sleepers than there are processors, of which each would keep one: the rest of the program goes on, garbage is
// collected, and all wake when they are told to.
func TestSleepersLeaveAProcessor(t *testing.T) {
	for _, processors := range []int{1, 2, 3} {
		old := runtime.GOMAXPROCS(processors)
		var words [5]Words
		var all sync.WaitGroup
		for i := range words {
			all.Go(func() {
				b := Bell{In: &words[i], Wake: Futex{}}
				for b.Await(0, time.Minute) == 0 {
				}
			})
		}
		for range 3 {
			if n := int(holders.Load()); n > len(words) {
				t.Errorf("%d sleepers hold a processor", n)
			}
			runtime.GC()
		}
		for i := range words {
			b := Bell{Out: &words[i], Wake: Futex{}}
			b.Send(1)
		}
		all.Wait()
		if n := holders.Load(); n != 0 {
			t.Errorf("%d processors: %d are held when nobody sleeps", processors, n)
		}
		runtime.GOMAXPROCS(old)
	}
}
