// CUDA's execution model on the host, so that a kernel's own source runs under a test.
//
// A thread is a fibre. Blocks run one after another; a thread runs until it waits (barrier, warp
// exchange) or ends. `hostSetOrder` chooses the order in which the threads of a block run: 0 forwards, an
// even number shuffled by that seed, each in turn from wait to wait; an odd number one warp after the
// other as far as barriers let it, 1 backwards, else beginning at another warp. A kernel whose result
// depends on it has a race. Strict where hardware is lax: shared memory starts as NaNs, asynchronous copies
// land only when they are waited for, or in odd orders at once, every warp exchange must find all 32
// lanes, a deadlock aborts.
//
// Not modelled: memory across blocks running at once, the order and rounding inside a tensor core
// (here: float32, k ascending), fused multiply-add, speed.

#define HOST_CUDA 1
#pragma GCC optimize("no-strict-aliasing")
#include <math.h>
#include <setjmp.h>
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
#define __shared__ static
#define __restrict__ __restrict
#define DYNAMIC_SHARED(name) u8* name = host::dynamicShared

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct uint3 { unsigned x, y, z; };

static uint3 threadIdx, blockIdx, blockDim, gridDim;

typedef unsigned char u8;

namespace host {
constexpr unsigned MAX_THREADS = 1024, LANES = 32, EXCHANGE = 64, COPIES = 64;
constexpr size_t STACK = 256 << 10, SHARED = 232448;  // the shared memory a block may have on Hopper

enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Copy { void* to; const void* from; unsigned bytes; bool inside; };
struct Fibre {
  ucontext_t entry;
  jmp_buf at;
  bool started;
  State state;
  unsigned exchanges;
  Copy copies[COPIES];
  unsigned groups[COPIES];  // where each committed group ends among the copies
  unsigned copyCount, groupCount;
};
struct Warp { unsigned waiting; unsigned char data[2][LANES][EXCHANGE]; };

static Fibre* fibres;
static Warp warps[MAX_THREADS / LANES];
static unsigned threads, alive, atBlock, order, current, sharedSize;
static jmp_buf scheduler;
static void (*body)(void**);
static void** arguments;
alignas(16) static unsigned char dynamicShared[SHARED];

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
  for (unsigned i = 0; i < threads; i++)
    if (fibres[i].state == AT_BLOCK) fibres[i].state = READY;
}

__attribute__((noinline)) static void pause() {
  if (!_setjmp(fibres[current].at)) _longjmp(scheduler, 1);
}

static void run() {
  for (;;) {
    body(arguments);
    if (fibres[current].copyCount) fail("a thread ended with copies that it never waited for");
    fibres[current].state = DONE;
    alive--;
    if (alive && atBlock == alive) releaseBlock();
    pause();
  }
}

__attribute__((noinline)) static void resume(unsigned thread) {
  current = thread;
  Fibre& fibre = fibres[thread];
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y,
               thread / blockDim.x / blockDim.y};
  if (_setjmp(scheduler)) return;
  if (fibre.started) _longjmp(fibre.at, 1);
  fibre.started = true;
  setcontext(&fibre.entry);
}

static void runBlock() {
  memset(dynamicShared, 0xff, sharedSize);
  alive = threads;
  atBlock = 0;
  for (unsigned i = 0; i < threads; i++) {
    fibres[i].state = READY;
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
      if (fibres[sequence[i]].state != READY) continue;
      moved = true;
      resume(sequence[i]);
      if (order % 2) i = -1u;  // from the start again: the first warp that can go on does
    }
    if (!moved) fail("deadlock: every thread waits");
  }
}

static void warpBarrier() {
  Warp& warp = warps[current / LANES];
  if (++warp.waiting < LANES) {
    fibres[current].state = AT_WARP;
    pause();
    return;
  }
  warp.waiting = 0;
  unsigned first = current / LANES * LANES;
  for (unsigned i = first; i < first + LANES; i++)
    if (i != current) {
      if (fibres[i].state != AT_WARP) fail("a warp exchange without all lanes");
      fibres[i].state = READY;
    }
}

// What each lane of the warp gave.
template <class T>
static const unsigned char (*exchange(const T& mine))[EXCHANGE] {
  static_assert(sizeof(T) <= EXCHANGE, "too much to exchange");
  Warp& warp = warps[current / LANES];
  auto& data = warp.data[fibres[current].exchanges++ & 1];
  memcpy(data[current % LANES], &mine, sizeof(T));
  warpBarrier();
  return data;
}

static void launch(void (*kernel)(void**), void** values, const unsigned* grid,
                   const unsigned* block, unsigned sharedBytes) {
  threads = block[0] * block[1] * block[2];
  if (threads == 0 || threads > MAX_THREADS || threads % LANES) fail("no whole number of warps");
  if (sharedBytes > SHARED) fail("more shared memory than a block may have");
  if (!fibres) {
    fibres = static_cast<Fibre*>(calloc(MAX_THREADS, sizeof(Fibre)));
    for (unsigned i = 0; i < MAX_THREADS; i++) {
      getcontext(&fibres[i].entry);
      fibres[i].entry.uc_stack.ss_sp = malloc(STACK);
      fibres[i].entry.uc_stack.ss_size = STACK;
      makecontext(&fibres[i].entry, run, 0);
    }
  }
  body = kernel;
  arguments = values;
  sharedSize = sharedBytes;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
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
  fibres[current].state = AT_BLOCK;
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
// mma.m16n8k16: lane l holds a[l/4 (+8)][2(l%4) (+8)], b[2(l%4) (+8)][l/4], c[l/4 (+8)][2(l%4)].
static void multiplyAdd(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  struct Fragment { unsigned a[4], b[2]; } mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  auto data = host::exchange(mine);
  auto half = [](unsigned word, unsigned which) {
    return __uint_as_float(which ? word & 0xffff0000u : word << 16);
  };
  unsigned lane = host::current % host::LANES;
  for (unsigned i = 0; i < 4; i++) {
    unsigned row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
    float sum = c[i];
    for (unsigned k = 0; k < 16; k++) {
      auto left = reinterpret_cast<const Fragment*>(data[row % 8 * 4 + k % 8 / 2]);
      auto right = reinterpret_cast<const Fragment*>(data[column * 4 + k % 8 / 2]);
      sum += half(left->a[row / 8 + 2 * (k / 8)], k % 2) * half(right->b[k / 8], k % 2);
    }
    c[i] = sum;
  }
}
