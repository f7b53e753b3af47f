// cudacpu.h lets a C++17 compiler run CUDA C kernels on the CPU, for tests: include it, then the kernels, then call
// cudacpu::launch.
//
// The blocks of a grid run one after another on the calling thread. Every CUDA thread of a block is a fiber that runs
// until it ends or comes to a barrier or a warp collective. What would hang or be undefined on a GPU stops the program
// with a message that names block and thread: a barrier that some threads never reach, a collective whose mask is
// wrong, an index outside a shared array, two threads that touch an element of one between the same two barriers
// and one of them writes, an address that is not aligned for its type. Shared arrays hold NaNs when a block begins.
//
// What it does not do: inline PTX, tensor cores, asynchronous copies, half types, textures, dynamic shared memory, races in
// global memory. One long kernel at a time per thread; several threads may launch at once.
#pragma once
#pragma GCC optimize("fp-contract=off") // a*b + c stays two roundings
#define CUDACPU

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

using std::max;
using std::min;

struct dim3 {
	unsigned x, y, z;
	dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
	size_t count() const { return (size_t)x * y * z; }
};
struct alignas(16) int4 {
	int x, y, z, w;
};
struct alignas(16) float4 {
	float x, y, z, w;
};

static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cudacpu {

[[noreturn]] inline void fail(const char *why, unsigned thread) {
	fprintf(stderr, "cudacpu: block (%u,%u,%u) thread %u: %s\n", blockIdx.x, blockIdx.y, blockIdx.z, thread, why);
	abort();
}

// Context is where a fiber, or the scheduler, goes on.
#ifdef __x86_64__
using Context = void *; // its stack pointer: the registers that a callee keeps lie there
static_assert(sizeof(void *) == 8, "");

__attribute__((naked, noipa)) static void jump(Context *, Context *) {
	asm("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n\t"
	    "mov %rsp, (%rdi); mov (%rsi), %rsp\n\t"
	    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret");
}

static void prepare(Context &c, char *stack, size_t size, void (*entry)()) {
	void **top = (void **)((uintptr_t)(stack + size) & ~(uintptr_t)15);
	*--top = nullptr; // where entry would return to: it never does
	*--top = (void *)entry;
	for (int i = 0; i < 6; i++)
		*--top = nullptr;
	c = top;
}
#else
using Context = ucontext_t;

static void jump(Context *from, Context *to) { swapcontext(from, to); }

static void prepare(Context &c, char *stack, size_t size, void (*entry)()) {
	getcontext(&c);
	c.uc_stack.ss_sp = stack, c.uc_stack.ss_size = size, c.uc_link = nullptr;
	makecontext(&c, entry, 0);
}
#endif

enum Wait { Run, Barrier, Shuffle, Ballot, Done };

struct Fiber {
	Context context;
	dim3 index;
	Wait wait;
	unsigned mask, from;  // of the collective: its lanes, the one to read
	uint64_t give, take;  // value given, value received
};

constexpr size_t stackBytes = (32 << 10) + 192, maxThreads = 1024; // no power of two: stacks that share no cache set

// The order in which the threads of a block run; reversed, most missing barriers show in the results as well.
inline thread_local bool reverse = false;

class Block {
  public:
	static Block &self() {
		static thread_local Block b;
		return b;
	}
	unsigned current() const { return now; }
	uint64_t interval() const { return epoch; } // counts barriers, over all blocks
	uint64_t number() const { return blocks; }

	// run calls body(arg) once for every thread of the block at blockIdx.
	void run(void (*body)(void *), void *arg) {
		n = blockDim.count(), call = body, argument = arg;
		epoch++, blocks++;
		if (fibers.size() < n) {
			fibers.resize(n);
			stacks.reset(new char[n * stackBytes]);
		}
		for (size_t i = 0; i < n; i++) {
			Fiber &f = fibers[i];
			f.index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
			f.wait = Run;
			prepare(f.context, stacks.get() + i * stackBytes, stackBytes, entry);
		}
		const size_t warps = (n + 31) / 32;
		do
			for (size_t w = 0; w < warps; w++)
				warp(reverse ? warps - 1 - w : w);
		while (barrier());
	}

	// stop parks the running fiber until what it waits for has come.
	void stop(Wait w) {
		Fiber &me = fibers[now];
		me.wait = w;
		jump(&me.context, &home);
	}

	uint64_t collective(Wait kind, unsigned mask, unsigned from, uint64_t value) {
		Fiber &me = fibers[now];
		me.mask = mask, me.from = from, me.give = value;
		stop(kind);
		return me.take;
	}

  private:
	std::vector<Fiber> fibers;
	std::unique_ptr<char[]> stacks; // of all fibers
	size_t n = 0, now = 0;
	uint64_t epoch = 0, blocks = 0;
	Context home;
	void (*call)(void *) = nullptr;
	void *argument = nullptr;

	static void entry() {
		Block &b = self();
		b.call(b.argument);
		b.stop(Done);
	}

	// warp runs the lanes of a warp until each is at a barrier, or at its end.
	void warp(size_t w) {
		const size_t lo = w * 32, hi = min(n, lo + 32);
		do
			for (size_t i = lo; i < hi; i++) {
				now = reverse ? hi - 1 - (i - lo) : i;
				if (fibers[now].wait == Run) {
					threadIdx = fibers[now].index;
					jump(&home, &fibers[now].context);
				}
			}
		while (exchange(lo, hi));
	}

	// exchange finishes the collectives of a warp that all their lanes have come to, and tells whether there was one.
	bool exchange(size_t lo, size_t hi) {
		bool moved = false;
		for (size_t i = lo; i < hi; i++) {
			const Wait kind = fibers[i].wait;
			const unsigned mask = fibers[i].mask;
			if (kind != Shuffle && kind != Ballot)
				continue;
			if (!(mask >> (i - lo) & 1))
				fail("a collective whose mask leaves out the caller", i);
			bool all = true;
			unsigned bits = 0;
			for (size_t j = lo; j < lo + 32; j++)
				if (mask >> (j - lo) & 1) {
					if (j >= hi || fibers[j].wait == Done)
						fail("a collective waits for a lane that is not there", i);
					all = all && fibers[j].wait == kind && fibers[j].mask == mask;
					bits |= (unsigned)(fibers[j].give != 0) << (j - lo);
				}
			if (!all)
				continue;
			for (size_t j = lo; j < hi; j++)
				if (mask >> (j - lo) & 1) {
					if (kind == Shuffle && !(mask >> fibers[j].from & 1))
						fail("a shuffle from a lane outside its mask", j);
					fibers[j].take = kind == Shuffle ? fibers[lo + fibers[j].from].give : bits;
					fibers[j].wait = Run;
				}
			moved = true;
		}
		return moved;
	}

	// barrier lets the threads go on when all have come, and tells whether there are any.
	bool barrier() {
		size_t at = 0;
		for (size_t i = 0; i < n; i++) {
			if (fibers[i].wait != Barrier && fibers[i].wait != Done)
				fail("deadlock: a collective waits for lanes that are at a barrier or in another collective", i);
			at += fibers[i].wait == Barrier;
		}
		if (at == 0)
			return false;
		for (size_t i = 0; i < n; i++) {
			if (fibers[i].wait == Done)
				fail("left before a barrier that other threads wait at", i);
			fibers[i].wait = Run;
		}
		epoch++;
		return true;
	}
};

// Shared is a shared array that checks indices and races.
template <class T, size_t N> class Shared {
  public:
	// Element stands for one element: reading it and writing it differ.
	struct Element {
		Shared &array;
		const size_t i;
		operator T() const { return array.read(i); }
		Element &operator=(T v) {
			array.write(i, v);
			return *this;
		}
		Element &operator=(const Element &e) { return *this = (T)e; }
	};
	template <class I> Element operator[](I i) {
		if (i < 0 || (size_t)i >= N)
			fail("an index outside a shared array", Block::self().current());
		return {*this, (size_t)i};
	}
	// enter is called by every thread; the first one of a block finds the array as another block left it.
	void enter() {
		const uint64_t block = Block::self().number();
		if (block != owner) {
			memset((void *)values, 0xff, sizeof values); // NaN, -1
			owner = block;
		}
	}

  private:
	struct Touch {
		uint64_t interval;
		int writer, reader; // -1: nobody in this interval; -2: several
	};
	T values[N];
	Touch touched[N] = {};
	uint64_t owner = 0;

	Touch &touch(size_t i) {
		Touch &t = touched[i];
		if (t.interval != Block::self().interval())
			t = {Block::self().interval(), -1, -1};
		return t;
	}
	T read(size_t i) {
		Touch &t = touch(i);
		const int me = Block::self().current();
		if (t.writer >= 0 && t.writer != me)
			fail("a race: reads a shared element that another thread has written since the last barrier", me);
		t.reader = t.reader == -1 || t.reader == me ? me : -2;
		return values[i];
	}
	void write(size_t i, T v) {
		Touch &t = touch(i);
		const int me = Block::self().current();
		if ((t.writer >= 0 && t.writer != me) || (t.reader != -1 && t.reader != me))
			fail("a race: writes a shared element that another thread has touched since the last barrier", me);
		t.writer = me;
		values[i] = v;
	}
};

// aligned returns p as it came, if a GPU could read an S through it.
template <class S> const S *aligned(const void *p) {
	if ((uintptr_t)p % alignof(S))
		fail("an address that is not aligned for what is read there", Block::self().current());
	return (const S *)p;
}

// launch runs a kernel whose parameters are behind pointers, as cuLaunchKernel has them, or says why it cannot.
template <class... P, size_t... I>
const char *launch(void (*kernel)(P...), dim3 grid, dim3 block, void **params, std::index_sequence<I...>) {
	static_assert(((sizeof(P) == 8) && ...), "every parameter of a kernel fills 8 bytes");
	if (!grid.count() || !block.count() || block.count() > maxThreads)
		return "an empty grid, or a block of none or more than 1024 threads";
	if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
		return "a grid larger than 2147483647 x 65535 x 65535";
	auto call = [&] { kernel(*(P *)params[I]...); };
	gridDim = grid, blockDim = block;
	for (unsigned z = 0; z < grid.z; z++)
		for (unsigned y = 0; y < grid.y; y++)
			for (unsigned x = 0; x < grid.x; x++) {
				blockIdx = dim3(x, y, z);
				Block::self().run([](void *c) { (*(decltype(call) *)c)(); }, &call);
			}
	return nullptr;
}
template <class... P> const char *launch(void (*kernel)(P...), dim3 grid, dim3 block, void **params) {
	return launch(kernel, grid, block, params, std::index_sequence_for<P...>{});
}

template <class T> T shuffle(unsigned mask, T v, unsigned from) {
	static_assert(sizeof(T) <= 8, "");
	uint64_t u = 0;
	memcpy(&u, &v, sizeof v);
	u = Block::self().collective(Shuffle, mask, from, u);
	memcpy(&v, &u, sizeof v);
	return v;
}
inline unsigned lane() { return Block::self().current() & 31; }

} // namespace cudacpu

inline void __syncthreads() { cudacpu::Block::self().stop(cudacpu::Barrier); }
template <class T> T __shfl_xor_sync(unsigned mask, T v, int with) {
	return cudacpu::shuffle(mask, v, cudacpu::lane() ^ with);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
	const unsigned l = cudacpu::lane();
	return cudacpu::shuffle(mask, v, (l & (width - 1)) + by < (unsigned)width ? l + by : l);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
	return cudacpu::Block::self().collective(cudacpu::Ballot, mask, 0, p != 0);
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __dp4a(int a, int b, int c) {
	for (int i = 0; i < 4; i++)
		c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
	return c;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
	const uint64_t bytes = (uint64_t)b << 32 | a;
	unsigned r = 0;
	for (int i = 0; i < 4; i++)
		r |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
	return r;
}
inline float __int_as_float(int i) {
	float f;
	memcpy(&f, &i, 4);
	return f;
}
inline float __uint_as_float(unsigned i) { return __int_as_float((int)i); }
inline unsigned __float_as_uint(float f) {
	unsigned u;
	memcpy(&u, &f, 4);
	return u;
}
