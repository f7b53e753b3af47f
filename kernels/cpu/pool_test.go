package cpu

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally counts how often each item is done, and by how many workers.
type tally struct {
	done    []atomic.Int32
	workers [64]atomic.Bool
	each    func(item int)
}

func (j *tally) do(worker, lo, hi int) {
	j.workers[worker].Store(true)
	for i := lo; i < hi; i++ {
		j.done[i].Add(1)
		if j.each != nil {
			j.each(i)
		}
	}
}

func TestPoolDoesEveryItemOnce(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 3, 7, 40} {
		p := newPool(threads)
		for items := range 70 {
			for _, nanos := range []int{0, 100, 5000, 1 << 30} {
				j := &tally{done: make([]atomic.Int32, items)}
				p.run(j, items, nanos)
				for i := range j.done {
					if n := j.done[i].Load(); n != 1 {
						t.Fatalf("threads %d, items %d, nanos %d: item %d done %d times", threads, items, nanos, i, n)
					}
				}
			}
		}
		p.close()
	}
}

// A worker that sleeps is woken, and one that comes late finds nothing left and harms nobody.
func TestPoolAfterSleep(t *testing.T) {
	p := newPool(3)
	defer p.close()
	for range 5 {
		for p.asleep.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		both := make(chan struct{}, 3)
		j := &tally{done: make([]atomic.Int32, 3), each: func(int) {
			both <- struct{}{}
			for len(both) < 3 { // until every thread holds an item
				runtime.Gosched()
			}
		}}
		p.run(j, 3, 1<<20)
		for w := range 3 {
			if !j.workers[w].Load() {
				t.Fatalf("worker %d had no part", w)
			}
		}
	}
}

func TestPoolOnOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	TestPoolDoesEveryItemOnce(t)
	TestPoolAfterSleep(t)
}

// A pool whose process has a place for other goroutines leaves the scheduler alone while it waits; one that takes all
// places does not. It computes the same either way.
func TestPoolLeavesRoom(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2))
	before := inPools.Load()
	p := newPool(runtime.NumCPU())
	q := newPool(2)
	if !p.roomy || p.patience != politely {
		t.Errorf("a pool of %d threads among %d processors: roomy %v, patience %v", p.all, runtime.GOMAXPROCS(0), p.roomy, p.patience)
	}
	if q.roomy || q.patience != spinTime {
		t.Errorf("two pools with a thread for each processor: roomy %v, patience %v", q.roomy, q.patience)
	}
	for _, pool := range []*pool{p, q} {
		for range 20 {
			j := &tally{done: make([]atomic.Int32, 50)}
			pool.run(j, 50, 1<<20)
			for i := range j.done {
				if n := j.done[i].Load(); n != 1 {
					t.Fatalf("item %d done %d times", i, n)
				}
			}
		}
		pool.close()
	}
	if n := inPools.Load(); n != before {
		t.Errorf("%d threads counted when all pools are closed, %d before", n, before)
	}
}

// A panic on any thread becomes a panic of the caller, and the pool goes on to work.
func TestPoolPanics(t *testing.T) {
	p := newPool(3)
	defer p.close()
	for _, bad := range []int{0, 1, 50, 99} {
		for _, inWorker := range []bool{false, true} {
			j := &panicky{bad: bad, inWorker: inWorker}
			message := recovered(func() { p.run(j, 100, 1<<20) })
			want := "no such item"
			if j.hit.Load() && j.worker.Load() > 0 {
				want = "BUG: kernels/cpu: in a worker: no such item"
			}
			if j.hit.Load() != strings.HasPrefix(message, want) {
				t.Fatalf("item %d, worker %d: panic %q, want %q", bad, j.worker.Load(), message, want)
			}
			if !inWorker && !j.hit.Load() {
				t.Fatalf("item %d was never done", bad)
			}
		}
		fine := &tally{done: make([]atomic.Int32, 50)}
		p.run(fine, 50, 1<<20)
		for i := range fine.done {
			if fine.done[i].Load() != 1 {
				t.Fatalf("after a panic: item %d done %d times", i, fine.done[i].Load())
			}
		}
	}
}

// panicky panics at one item, on whatever thread or, with inWorker, on any but the caller's.
type panicky struct {
	bad      int
	inWorker bool
	hit      atomic.Bool
	worker   atomic.Int32
}

func (j *panicky) do(worker, lo, hi int) {
	runtime.Gosched() // so that workers come as well
	if lo <= j.bad && j.bad < hi && (worker > 0 || !j.inWorker) {
		j.worker.Store(int32(worker))
		j.hit.Store(true)
		panic(errors.New("no such item"))
	}
}

func recovered(f func()) (message string) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			message = p.Error()
		case string:
			message = p
		}
	}()
	f()
	return ""
}

func TestPoolGrain(t *testing.T) {
	p := &pool{threads: 2}
	for _, c := range []struct{ items, nanos, want int }{
		{100, 1, 100},           // too little for two
		{1000, 100, 50},         // chunks of 5 µs
		{24_000, 1000, 1000},    // 12 chunks a thread
		{10, 1_000_000, 1},      // few long items
		{1, 1_000_000, 1},       // nothing to share
		{1_000_000, 0, 1000000}, // free
	} {
		if got := p.grainOf(c.items, c.nanos); got != c.want {
			t.Errorf("%d items of %d ns: grain %d, want %d", c.items, c.nanos, got, c.want)
		}
	}
}

// busy is a job that takes a known number of turns of a loop.
type busy struct {
	turns int
	sink  [64]struct {
		x uint64
		_ [56]byte
	}
}

func (j *busy) do(worker, lo, hi int) {
	x := j.sink[worker].x
	for range (hi - lo) * j.turns {
		x = x*6364136223846793005 + 1442695040888963407
	}
	j.sink[worker].x = x
}

// What an op costs beyond its work: compare a pool of 2 with half the items of a pool of 1.
func BenchmarkForkJoin(b *testing.B) {
	for _, work := range []struct {
		name  string
		turns int
	}{{"empty", 0}, {"long", 1000}} {
		for _, threads := range []int{1, 2} {
			b.Run(work.name+"/threads="+string(rune('0'+threads)), func(b *testing.B) {
				p := newPool(threads)
				defer p.close()
				j := &busy{turns: work.turns}
				items := 24 * threads
				b.ReportAllocs()
				for b.Loop() {
					p.run(j, items, 10_000)
				}
			})
		}
	}
}
