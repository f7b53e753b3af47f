package cpu

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// job is work in equal items that may be done in any order and on any thread.
type job interface {
	// do computes items lo to hi-1; worker numbers the thread, for its scratch memory.
	do(worker, lo, hi int)
}

// pool is the threads of one device: the caller of run, which is worker 0, and threads-1 goroutines.
//
// An op is a few microseconds, waking a sleeping thread is 50 to 100. So a worker that has nothing to do
// keeps looking at state for a while before it sleeps, and run never waits for a worker that has not yet
// come: items are taken from a common counter, and whoever is late finds none left. Hence a busy
// machine, or one with fewer cores than threads, slows a pool down but never stops it.
type pool struct {
	all      int           // threads there are
	threads  int           // of these, that jobs use at present: the caller and workers 1 to threads-1
	roomy    bool          // goroutines of others have a place to run beside the threads of all pools
	patience time.Duration // before a thread that looks gives way

	// The job at hand, written by run while no worker is inside.
	job          job
	items, grain int

	_     [64]byte // each of the shared words on a cache line of its own
	state atomic.Uint64
	_     [56]byte
	next  atomic.Int64 // first item that nobody has taken
	_     [56]byte

	failed atomic.Pointer[failure]
	asleep atomic.Int32 // workers that wait for wake
	limit  atomic.Int32 // threads, for the workers to see
	mu     sync.Mutex
	wake   sync.Cond // a job has come
	hired  sync.Cond // the limit has changed
	ended  sync.WaitGroup
}

// state is generation<<32 | poolOpen | workers inside. A worker may enter only while the job is open,
// and run writes the next job only when nobody is inside.
const (
	poolOpen   = 1 << 31
	poolInside = poolOpen - 1
	poolClosed = 1<<64 - 1
)

const (
	spinTime = 20 * time.Microsecond  // look without giving way to others
	napTime  = 300 * time.Microsecond // then look and give way; then sleep
	politely = 2 * time.Microsecond   // spinTime where threads outnumber processors

	chunksPerThread = 12                    // so that a thread that is slowed down leaves its share to others
	minChunk        = 5 * time.Microsecond  // below it, taking chunks shows
	minJob          = 12 * time.Microsecond // below it, the caller alone is faster
)

// failure is a panic of a worker.
type failure struct {
	value any
	stack []byte
}

func newPool(threads int) *pool {
	p := &pool{all: max(threads, 1), threads: max(threads, 1)}
	p.limit.Store(int32(p.threads))
	p.wake.L, p.hired.L = &p.mu, &p.mu
	p.roomy = int(inPools.Add(int32(p.all))) < runtime.GOMAXPROCS(0)
	p.patience = spinTime
	if p.roomy && runtime.GOMAXPROCS(0) > runtime.NumCPU() {
		p.patience = politely
	}
	for worker := 1; worker < p.all; worker++ {
		p.ended.Add(1)
		go p.serve(worker)
	}
	return p
}

// use limits the jobs that follow to so many threads; the others sleep until they are wanted again.
func (p *pool) use(threads int) {
	threads = min(max(threads, 1), p.all)
	if threads == p.threads {
		return
	}
	p.threads = threads
	p.mu.Lock()
	p.limit.Store(int32(threads))
	p.hired.Broadcast()
	p.mu.Unlock()
}

// run does a job of that many items, each of about that many nanoseconds, and returns when all are done.
// A panic of a worker becomes a panic of the caller.
func (p *pool) run(j job, items, nanos int) {
	grain := p.grainOf(items, nanos)
	if grain >= items {
		if items > 0 {
			j.do(0, 0, items)
		}
		return
	}
	p.job, p.items, p.grain = j, items, grain
	p.next.Store(0)
	p.failed.Store(nil)
	p.state.Store((p.state.Load()>>32+1)<<32 | poolOpen)
	if p.asleep.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
	p.lead()
	if f := p.failed.Load(); f != nil {
		f.raise()
	}
}

// grainOf is the number of items that are taken at once.
func (p *pool) grainOf(items, nanos int) int {
	if p.threads == 1 || items*nanos < int(minJob) {
		return items
	}
	return max(items/(p.threads*chunksPerThread), int(minChunk)/max(nanos, 1), 1)
}

// hungry tells that so many items of so many nanoseconds are few for the threads, and worth halving.
func (p *pool) hungry(items, nanos int) bool {
	return items < 8*p.threads && p.threads > 1 && nanos > 2*int(minChunk)
}

// lead does the caller's share and waits for the workers, also when the caller panics.
func (p *pool) lead() {
	defer p.join()
	p.work(0)
}

func (p *pool) work(worker int) {
	for {
		hi := int(p.next.Add(int64(p.grain)))
		lo := hi - p.grain
		if lo >= p.items {
			return
		}
		p.job.do(worker, lo, min(hi, p.items))
	}
}

// join lets no further worker in and waits for those inside.
func (p *pool) join() {
	p.state.Add(^uint64(poolOpen - 1))
	var w watch
	for p.state.Load()&poolInside != 0 {
		if w.spent() > p.patience {
			p.giveWay()
		}
	}
}

// serve is the life of a worker.
func (p *pool) serve(worker int) {
	defer p.ended.Done()
	debug.SetPanicOnFault(true)
	for seen := uint64(0); ; {
		s := p.await(worker, seen)
		if s == poolClosed {
			return
		}
		seen = s >> 32
		if worker < int(p.limit.Load()) && p.enter(seen) {
			p.help(worker)
		}
	}
}

// enter counts a worker in, unless the generation's job is over.
func (p *pool) enter(generation uint64) bool {
	for {
		s := p.state.Load()
		if s>>32 != generation || s&poolOpen == 0 {
			return false
		}
		if p.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

func (p *pool) help(worker int) {
	defer func() {
		if value := recover(); value != nil {
			p.failed.CompareAndSwap(nil, &failure{value, debug.Stack()})
			p.next.Store(int64(p.items)) // what is left would be wasted work
		}
		p.state.Add(^uint64(0))
	}()
	p.work(worker)
}

// raise panics on the caller with a worker's panic. That of a fault in a mapped file stays what it is: the
// caller of the kernel makes an error of it.
func (f *failure) raise() {
	value := f.value
	if _, fault := value.(interface{ Addr() uintptr }); fault {
		panic(value)
	}
	panic(fmt.Sprintf("BUG: kernels/cpu: in a worker: %v\n%s", value, f.stack))
}

// await returns the first state of another generation than seen.
func (p *pool) await(worker int, seen uint64) uint64 {
	var w watch
	for {
		if worker >= int(p.limit.Load()) {
			p.rest(worker)
		}
		if s := p.state.Load(); s>>32 != seen || s == poolClosed {
			return s
		}
		switch spent := w.spent(); {
		case spent > napTime:
			p.sleep(seen)
		case spent > p.patience:
			p.giveWay()
		}
	}
}

// inPools counts the threads of all pools.
var inPools atomic.Int32

// giveWay lets others have the processor for a while. Where goroutines have room elsewhere those are other threads,
// and the scheduler is left alone: for each Gosched it would wake a thread to look for work, which then takes the
// worker over, and with it a processor from whoever computes.
func (p *pool) giveWay() {
	if p.roomy && yield() {
		return
	}
	runtime.Gosched()
}

// sleep waits for a state of another generation without using the processor.
func (p *pool) sleep(seen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep.Add(1) // before the look at state: run looks at asleep after it has changed state
	for s := p.state.Load(); s>>32 == seen && s != poolClosed; s = p.state.Load() {
		p.wake.Wait()
	}
	p.asleep.Add(-1)
}

// rest waits until so many workers are wanted.
func (p *pool) rest(worker int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for worker >= int(p.limit.Load()) && p.state.Load() != poolClosed {
		p.hired.Wait()
	}
}

// close ends the workers. No job may be running.
func (p *pool) close() {
	p.mu.Lock()
	p.state.Store(poolClosed)
	p.wake.Broadcast()
	p.hired.Broadcast()
	p.mu.Unlock()
	p.ended.Wait()
	inPools.Add(-int32(p.all))
}

// watch tells how long a loop has been spinning. It looks at the clock once in a while only.
type watch struct {
	turns   int
	start   time.Time
	elapsed time.Duration
}

func (w *watch) spent() time.Duration {
	w.turns++
	if w.turns%64 == 0 {
		if w.start.IsZero() {
			w.start = time.Now()
		}
		w.elapsed = time.Since(w.start)
	}
	return w.elapsed
}
