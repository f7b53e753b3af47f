package cpu

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"troupe/kernels"
	"troupe/tensor"
)

// Probe measures the two limits that kernels are held to on this machine: how fast memory is read, and
// how fast numbers are multiplied. It is for benchmarks. One measurement runs at a time, and threads
// exist while it does.
type Probe struct {
	arena *tensor.Arena
	mem   []byte
	next  []int // by thread: piece of its share that comes next, so that none is read again soon
}

const (
	// ProbeBytes is a size of a probe's memory that is beyond most caches.
	ProbeBytes = 256 << 20

	probePiece  = 1 << 20 // bytes of one call: below 200 µs, since assembly cannot be preempted
	probeRounds = 2000    // of one call, likewise
)

// NewProbe takes memory for reading, at least one piece of a megabyte. It should be several times as
// large as the caches.
func NewProbe(size int) (*Probe, error) {
	arena, err := tensor.NewArena("probe", max(size/probePiece, 1)*probePiece)
	if err != nil {
		return nil, err
	}
	mem, err := arena.Bytes(max(size/probePiece, 1) * probePiece)
	if err != nil {
		arena.Close()
		return nil, err
	}
	const page = 4096
	for i := 0; i < len(mem); i += page {
		mem[i] = 1 // memory that nobody has written is one page of zeros, again and again
	}
	return &Probe{arena: arena, mem: mem}, nil
}

// Close gives the memory back.
func (p *Probe) Close() error { return p.arena.Close() }

// Size is that of the memory in bytes.
func (p *Probe) Size() int { return len(p.mem) }

// Read has threads read for about that long, each one stream through its share of the memory, and
// returns bytes a second.
func (p *Probe) Read(threads int, d time.Duration) float64 {
	pieces := len(p.mem) / probePiece
	threads = min(max(threads, 1), pieces)
	if len(p.next) != threads {
		p.next = make([]int, threads)
	}
	share := pieces / threads
	return rate(threads, d, func(thread int) float64 {
		piece := thread*share + p.next[thread]
		p.next[thread] = (p.next[thread] + 1) % share
		readProbe(p.mem[piece*probePiece:][:probePiece])
		return probePiece
	})
}

// Multiply has threads multiply for about that long and returns multiply-adds a second.
func (p *Probe) Multiply(u Unit, threads int, d time.Duration) float64 {
	return rate(max(threads, 1), d, func(int) float64 {
		u.run(probeRounds)
		return float64(u.macs * probeRounds)
	})
}

// rate calls work on each thread until time is up and adds up the threads' rates a second.
func rate(threads int, d time.Duration, work func(thread int) float64) float64 {
	rates := make([]float64, threads)
	var ready atomic.Int32
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for ready.Add(1); ready.Load() < int32(threads); {
				runtime.Gosched() // all begin together
			}
			done, start := 0.0, time.Now()
			for elapsed := time.Duration(0); elapsed < d || done == 0; {
				done += work(t)
				elapsed = time.Since(start)
				rates[t] = done / max(elapsed.Seconds(), 1e-9)
			}
		})
	}
	wg.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// Unit is a way of multiplying and adding that inner loops use.
type Unit struct {
	Name string
	macs int // multiply-adds of a round
	run  func(rounds int)
}

// UnitOf is what a variant multiplies with: weights in int8 under the arithmetic int8 with whole numbers,
// anything else in float32.
func UnitOf(variant string, a kernels.Arith, int8Weights bool) Unit {
	whole := a == kernels.Int8 && int8Weights
	for _, t := range probeTiers {
		if !strings.Contains(variant, t.mark) {
			continue
		}
		if whole {
			return t.whole
		}
		return t.float
	}
	if whole {
		return Unit{"64-bit multiplications, four products each", 4 * goChains, multiplyWords}
	}
	return Unit{"float32 multiplications and additions in Go", goChains, multiplyFloats}
}

// probeTier is the units of variants whose names hold a mark.
type probeTier struct {
	mark         string
	whole, float Unit
}

// goChains is the number of sums in the loops below.
const goChains = 4

var probeSink atomic.Uint64

func multiplyWords(rounds int) {
	var a, b, c, d uint64
	x, w := uint64(rounds), uint64(rounds)|1
	for range rounds {
		a += x * w
		b += x * (w + 1)
		c += x * (w + 2)
		d += x * (w + 3)
		x ^= w
	}
	probeSink.Store(a + b + c + d)
}

func multiplyFloats(rounds int) {
	var a, b, c, d float32
	x, w := float32(0.5), float32(rounds)
	for range rounds {
		a += float32(x * w)
		b += float32(x * a)
		c += float32(w * w)
		d += float32(x * x)
	}
	probeSink.Store(uint64(a + b + c + d))
}

// readWords reads memory as Go does: words, eight sums.
func readWords(b []byte) {
	words := unsafe.Slice((*[8]uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/64)
	var s [8]uint64
	for i := range words {
		w := &words[i]
		s[0] ^= w[0]
		s[1] ^= w[1]
		s[2] ^= w[2]
		s[3] ^= w[3]
		s[4] ^= w[4]
		s[5] ^= w[5]
		s[6] ^= w[6]
		s[7] ^= w[7]
	}
	probeSink.Store(s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7])
}
