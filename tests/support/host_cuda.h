// CUDA's execution model on the host, so that a kernel's own source runs under a test.
//
// A thread is a fibre. Blocks run one after another; a thread runs until it waits (barrier, warp
// exchange) or ends. `hostSetOrder` chooses the order in which the threads of a block run: 0 forwards, an
// even number shuffled by that seed, each in turn from wait to wait; an odd number one warp after the
// other as far as barriers let it, 1 backwards, else beginning at another warp. A kernel whose result
// depends on it has a race. Strict where hardware is lax: shared memory starts as NaNs, in every block, and is not
// written beyond its end; asynchronous copies land only when they are waited for, or in odd orders at once, every warp exchange must find all 32
// lanes, a deadlock aborts.
//
// Not modelled: memory across blocks running at once, the order and rounding inside a tensor core
// (here: float32, k ascending), fused multiply-add, speed.

#define HOST_CUDA 1
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __device__
#define __global__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define DYNAMIC_SHARED(name) u8* name = host::dynamicShared
#define SHARED(type, name, shape)               \
  static host::Guarded<type shape> name##Place; \
  auto& name = name##Place.data()

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct uint3 { unsigned x, y, z; };

static uint3 threadIdx, blockIdx, blockDim, gridDim;

typedef unsigned char u8;

namespace host {
constexpr unsigned MAX_THREADS = 1024, LANES = 32, EXCHANGE = 64, COPIES = 64;
// An odd number of cache lines over a power of two, so that the fibres' stacks don't share a set of the cache.
constexpr size_t STACK = (256 << 10) + 9 * 64;
constexpr size_t MOST_SHARED = 232448;  // the shared memory a block may have on Hopper
constexpr size_t GUARD = 1024;  // bytes behind shared memory that must stay as they are

enum State : u8 { READY, AT_BLOCK, AT_WARP, DONE };
struct Copy { void* to; const void* from; unsigned bytes; bool inside; };
// What __builtin_setjmp keeps: a switch without the C library's is a few instructions.
typedef void* Place[5];
struct Fibre {
  ucontext_t entry;
  Place at;
  bool started;
  uint3 index;
  unsigned exchanges;
  Copy copies[COPIES];
  unsigned groups[COPIES];  // where each committed group ends among the copies
  unsigned copyCount, groupCount;
};
struct Warp {
  unsigned waiting;
  alignas(16) unsigned char data[2][LANES][EXCHANGE];
  alignas(16) float products[2][16][8];
};

static Fibre* fibres;
static State states[MAX_THREADS];
static Warp warps[MAX_THREADS / LANES];
static unsigned threads, alive, atBlock, order, current, sharedSize;
static bool released;  // a barrier let threads go on
static Place scheduler;
static void (*body)(void**);
static void** arguments;
alignas(16) static u8 dynamicShared[MOST_SHARED + GUARD];

// Static shared memory, with the bytes behind it.
struct Shared {
  u8* bytes;
  size_t size;
  Shared* next;
};
static Shared* shared;
template <class T>
struct Guarded {
  alignas(16) u8 bytes[sizeof(T) + GUARD];
  Shared self;
  Guarded() : self{bytes, sizeof(T), shared} {
    memset(bytes, 0xff, sizeof bytes);
    shared = &self;
  }
  T& data() { return *reinterpret_cast<T*>(bytes); }
};

[[noreturn]] static void fail(const char* what) {
  fprintf(stderr, "host_cuda: %s (block %u,%u,%u thread %u)\n", what, blockIdx.x, blockIdx.y,
          blockIdx.z, current);
  abort();
}

static void land(const Copy& copy) {
  if (copy.inside) memcpy(copy.to, copy.from, copy.bytes);
  else memset(copy.to, 0, copy.bytes);
}

static void releaseBlock() {
  atBlock = 0;
  released = true;
  for (unsigned i = 0; i < threads; i++)
    if (states[i] == AT_BLOCK) states[i] = READY;
}

// Apart, as GCC wants no jump in a function that can be jumped to.
[[noreturn]] __attribute__((noinline)) static void jump(Place& to) { __builtin_longjmp(to, 1); }

__attribute__((noinline)) static void pause() {
  if (!__builtin_setjmp(fibres[current].at)) jump(scheduler);
}

static void run() {
  for (;;) {
    body(arguments);
    if (fibres[current].copyCount) fail("a thread ended with copies that it never waited for");
    states[current] = DONE;
    alive--;
    if (alive && atBlock == alive) releaseBlock();
    pause();
  }
}

__attribute__((noinline)) static void resume(unsigned thread) {
  current = thread;
  Fibre& fibre = fibres[thread];
  threadIdx = fibre.index;
  if (__builtin_setjmp(scheduler)) return;
  if (fibre.started) jump(fibre.at);
  fibre.started = true;
  setcontext(&fibre.entry);
}

static void assertUntouched(const u8* guard) {
  for (size_t i = 0; i < GUARD; i++)
    if (guard[i] != 0xff) fail("a write beyond the end of shared memory");
}

static void runBlock() {
  memset(dynamicShared, 0xff, sharedSize + GUARD);
  for (Shared* each = shared; each; each = each->next) memset(each->bytes, 0xff, each->size);
  alive = threads;
  atBlock = 0;
  for (unsigned i = 0; i < threads; i++) {
    states[i] = READY;
    fibres[i].exchanges = fibres[i].copyCount = fibres[i].groupCount = 0;
  }
  static unsigned sequence[MAX_THREADS];
  for (unsigned i = 0; i < threads; i++)
    sequence[i] = order == 1 ? threads - 1 - i : order % 2 ? (i + order / 2 * LANES) % threads : i;
  unsigned random = order;
  while (alive) {
    if (order && order % 2 == 0) {
      for (unsigned i = threads - 1; i > 0; i--) {
        random = random * 1664525u + 1013904223u;
        unsigned j = (random >> 8) % (i + 1), swap = sequence[i];
        sequence[i] = sequence[j];
        sequence[j] = swap;
      }
    }
    bool moved = false;
    for (unsigned i = 0; i < threads; i++) {
      if (states[sequence[i]] != READY) continue;
      moved = true;
      released = false;
      resume(sequence[i]);
      // From the start again, where one before it may now go on: the first warp that can does.
      if (order % 2 && released) i = -1u;
    }
    if (!moved) fail("deadlock: every thread waits");
  }
  assertUntouched(dynamicShared + sharedSize);
  for (Shared* each = shared; each; each = each->next) assertUntouched(each->bytes + each->size);
}

// The last lane to come is told of all of them.
template <class Complete>
static void warpBarrier(const Complete& complete) {
  Warp& warp = warps[current / LANES];
  if (++warp.waiting < LANES) {
    states[current] = AT_WARP;
    pause();
    return;
  }
  warp.waiting = 0;
  released = true;
  unsigned first = current / LANES * LANES;
  for (unsigned i = first; i < first + LANES; i++)
    if (i != current) {
      if (states[i] != AT_WARP) fail("a warp exchange without all lanes");
      states[i] = READY;
    }
  complete();
}
static void warpBarrier() {
  warpBarrier([] {});
}

// What each lane of the warp gave; `complete` is called with it once a warp, and which of two turns it is.
template <class T, class Complete>
static const unsigned char (*exchange(const T& mine, const Complete& complete))[EXCHANGE] {
  static_assert(sizeof(T) <= EXCHANGE, "too much to exchange");
  Warp& warp = warps[current / LANES];
  unsigned turn = fibres[current].exchanges++ & 1;
  auto& data = warp.data[turn];
  memcpy(data[current % LANES], &mine, sizeof(T));
  warpBarrier([&] { complete(warp, turn); });
  return data;
}
template <class T>
static const unsigned char (*exchange(const T& mine))[EXCHANGE] {
  return exchange(mine, [](Warp&, unsigned) {});
}

static void launch(void (*kernel)(void**), void** values, const unsigned* grid,
                   const unsigned* block, unsigned sharedBytes) {
  threads = block[0] * block[1] * block[2];
  if (threads == 0 || threads > MAX_THREADS || threads % LANES) fail("no whole number of warps");
  if (sharedBytes > MOST_SHARED) fail("more shared memory than a block may have");
  if (!fibres) {
    fibres = static_cast<Fibre*>(calloc(MAX_THREADS, sizeof(Fibre)));
    u8* stacks = static_cast<u8*>(malloc(MAX_THREADS * STACK));
    if (!fibres || !stacks) fail("no memory for threads");
    for (unsigned i = 0; i < MAX_THREADS; i++) {
      getcontext(&fibres[i].entry);
      fibres[i].entry.uc_stack.ss_sp = stacks + i * STACK;
      fibres[i].entry.uc_stack.ss_size = STACK;
      makecontext(&fibres[i].entry, run, 0);
    }
  }
  body = kernel;
  arguments = values;
  sharedSize = sharedBytes;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  for (unsigned i = 0; i < threads; i++)
    fibres[i].index = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
  for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) runBlock();
}

// Calls a kernel with the values that cuLaunchKernel's array of pointers points to.
template <unsigned... I> struct Indices {};
template <unsigned N, unsigned... I> struct Count : Count<N - 1, N - 1, I...> {};
template <unsigned... I> struct Count<0, I...> { typedef Indices<I...> Type; };
template <class... A, unsigned... I>
static void apply(void (*kernel)(A...), void** values, Indices<I...>) {
  kernel(*static_cast<A*>(values[I])...);
}
template <class... A>
static void apply(void (*kernel)(A...), void** values) {
  apply(kernel, values, typename Count<sizeof...(A)>::Type());
}
}  // namespace host

extern "C" void hostSetOrder(unsigned order) { host::order = order; }

// Makes a kernel known to the stand-in for libcuda.
#define HOST_KERNEL(name)                                                                     \
  extern "C" void hostLaunch_##name(void** values, const unsigned* grid, const unsigned* block, \
                                    unsigned sharedBytes) {                                   \
    host::launch([](void** each) { host::apply(name, each); }, values, grid, block, sharedBytes); \
  }

// CUDA's builtin functions.
static inline float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  return bits;
}
// Newer C libraries have one of this name.
#define rsqrtf hostInverseRoot
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static void __syncthreads() {
  using namespace host;
  if (++atBlock == alive) {
    releaseBlock();
    return;
  }
  states[current] = AT_BLOCK;
  pause();
}
static inline void checkLanes(unsigned mask) {
  if (mask != 0xffffffffu) host::fail("only whole warps are emulated");
}
static inline void __syncwarp() { host::warpBarrier(); }
template <class T>
static T __shfl_xor_sync(unsigned mask, T value, unsigned other) {
  checkLanes(mask);
  auto data = host::exchange(value);
  T result;
  memcpy(&result, data[host::current % host::LANES ^ other], sizeof(T));
  return result;
}
template <class T>
static T __shfl_sync(unsigned mask, T value, unsigned lane) {
  checkLanes(mask);
  auto data = host::exchange(value);
  T result;
  memcpy(&result, data[lane % host::LANES], sizeof(T));
  return result;
}

// The prelude's functions that are PTX on the device.
static inline float fastRoot(float x) { return sqrtf(x); }
static inline float fastDivide(float x, float by) { return x / by; }
static inline float fastPower2(float x) { return exp2f(x); }
static inline unsigned roundToBf16(float value) {
  unsigned bits = __float_as_uint(value);
  if (value != value) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline unsigned packBf16(float low, float high) {
  return roundToBf16(low) | roundToBf16(high) << 16;
}
static inline void storeWords(void* to, unsigned a, unsigned b, unsigned c, unsigned d) {
  if (reinterpret_cast<uintptr_t>(to) % 16) host::fail("a store is not aligned to 16 bytes");
  *reinterpret_cast<uint4*>(to) = {a, b, c, d};
}
static void copyAsync(void* shared, const void* global, unsigned bytes, bool inside) {
  host::Fibre& fibre = host::fibres[host::current];
  if (fibre.copyCount == host::COPIES) host::fail("too many copies under way");
  if (reinterpret_cast<uintptr_t>(shared) % bytes || reinterpret_cast<uintptr_t>(global) % bytes)
    host::fail("an asynchronous copy is not aligned to its size");
  host::Copy copy = {shared, global, bytes, inside};
  if (host::order % 2) host::land(copy);
  fibre.copies[fibre.copyCount++] = copy;
}
static inline void copyAsync16(void* shared, const void* global, bool inside) {
  copyAsync(shared, global, 16, inside);
}
static inline void copyAsync4(void* shared, const void* global, bool inside) {
  copyAsync(shared, global, 4, inside);
}
static inline void commitCopies() {
  host::Fibre& fibre = host::fibres[host::current];
  if (fibre.groupCount == host::COPIES) host::fail("too many copy groups under way");
  fibre.groups[fibre.groupCount++] = fibre.copyCount;
}
template <int PENDING>
static void waitCopies() {
  host::Fibre& fibre = host::fibres[host::current];
  if (fibre.groupCount <= PENDING) return;
  unsigned finished = fibre.groupCount - PENDING, until = fibre.groups[finished - 1];
  for (unsigned i = 0; i < until; i++) {
    if (host::order % 2 == 0) host::land(fibre.copies[i]);
  }
  for (unsigned i = until; i < fibre.copyCount; i++) fibre.copies[i - until] = fibre.copies[i];
  for (unsigned i = finished; i < fibre.groupCount; i++)
    fibre.groups[i - finished] = fibre.groups[i] - until;
  fibre.copyCount -= until;
  fibre.groupCount -= finished;
}
struct bf16;
// ldmatrix: register i of a lane holds two neighbours of a row of matrix i (of a column of it).
static void gatherMatrices(unsigned (&r)[4], const bf16* row, bool transposed) {
  if (reinterpret_cast<uintptr_t>(row) % 16) host::fail("a matrix row is not aligned to 16 bytes");
  auto data = host::exchange(row);
  unsigned lane = host::current % host::LANES;
  for (unsigned i = 0; i < 4; i++) {
    unsigned short half[2];
    for (unsigned j = 0; j < 2; j++) {
      unsigned at = lane / 4, along = 2 * (lane % 4) + j;
      const unsigned short* from;
      memcpy(&from, data[8 * i + (transposed ? along : at)], sizeof from);
      half[j] = from[transposed ? at : along];
    }
    r[i] = half[0] | static_cast<unsigned>(half[1]) << 16;
  }
}
static void loadMatrices(unsigned (&r)[4], const bf16* row) { gatherMatrices(r, row, false); }
static void loadMatricesTransposed(unsigned (&r)[4], const bf16* row) {
  gatherMatrices(r, row, true);
}
// mma.m16n8k16: lane l holds a[l/4 (+8)][2(l%4) (+8)], b[2(l%4) (+8)][l/4], c[l/4 (+8)][2(l%4)]. One lane
// multiplies for its warp.
struct Fragment { unsigned a[4], b[2]; float c[4]; };
static void multiplyWarp(host::Warp& warp, unsigned turn) {
  typedef float Four __attribute__((vector_size(16)));
  float a[16][16];
  alignas(16) float b[16][8];
  auto& c = warp.products[turn];
  for (unsigned lane = 0; lane < host::LANES; lane++) {
    Fragment each;
    memcpy(&each, warp.data[turn][lane], sizeof each);
    unsigned row = lane / 4, column = 2 * (lane % 4);
    for (unsigned i = 0; i < 4; i++) {
      float* left = &a[row + 8 * (i % 2)][column + 8 * (i / 2)];
      left[0] = __uint_as_float(each.a[i] << 16);
      left[1] = __uint_as_float(each.a[i] & 0xffff0000u);
      c[row + 8 * (i / 2)][column + i % 2] = each.c[i];
    }
    for (unsigned i = 0; i < 2; i++) {
      b[column + 8 * i][row] = __uint_as_float(each.b[i] << 16);
      b[column + 8 * i + 1][row] = __uint_as_float(each.b[i] & 0xffff0000u);
    }
  }
  for (unsigned row = 0; row < 16; row++) {
    Four* sums = reinterpret_cast<Four*>(c[row]);
    Four low = sums[0], high = sums[1];
    for (unsigned k = 0; k < 16; k++) {
      const Four* right = reinterpret_cast<const Four*>(b[k]);
      low += a[row][k] * right[0];
      high += a[row][k] * right[1];
    }
    sums[0] = low;
    sums[1] = high;
  }
}
static void multiplyAdd(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  Fragment mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}, {c[0], c[1], c[2], c[3]}};
  host::Warp& warp = host::warps[host::current / host::LANES];
  unsigned turn = host::fibres[host::current].exchanges & 1, lane = host::current % host::LANES;
  host::exchange(mine, multiplyWarp);
  for (unsigned i = 0; i < 4; i++)
    c[i] = warp.products[turn][lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
}
