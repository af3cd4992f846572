/**
 * What every kernel's source begins with: bfloat16 storage, 16-byte loads and stores, reductions,
 * asynchronous copies and tensor-core products.
 *
 * In: nothing. Out: CUDA C++ that needs no header, so that NVRTC needs no include folder. All
 * inline PTX stands here, behind `HOST_CUDA`: tests compile the same kernels for the host with a
 * header that defines these few functions in plain C++ (tests/support/host_cuda.h).
 */

/** CUDA C++ placed before a kernel's own source; sm_80 and newer. */
export const PRELUDE: string = String.raw`
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Bits of a bfloat16. A type of its own, so that overloads tell it from an integer.
struct bf16 { u16 bits; };

constexpr u32 WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;
#ifndef INFINITY
#define INFINITY __uint_as_float(0x7f800000u)
#endif
constexpr float LOG2_E = 1.4426950408889634f;

#ifndef HOST_CUDA
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) u8 name[]
#define SHARED(type, name, shape) __shared__ type name shape

// To some 2 units in the last place, in two instructions each; exact ones take about ten.
__device__ inline float fastRoot(float x) {
  float root;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(x));
  return root;
}
__device__ inline float fastDivide(float x, float by) { return __fdividef(x, by); }
__device__ inline float fastPower2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

// Two floats rounded to nearest even, the first in the low half.
__device__ inline u32 packBf16(float low, float high) {
  u32 packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// 16 bytes of global memory at once, where the compiler would not put four stores together.
__device__ inline void storeWords(void* to, u32 a, u32 b, u32 c, u32 d) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
               "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}

__device__ inline u32 sharedAddress(const void* pointer) {
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// 16 bytes (or 4) from global to shared memory without passing registers; zeros where not inside,
// whatever address is given.
__device__ inline void copyAsync16(void* shared, const void* global, bool inside) {
  int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)),
               "l"(global), "r"(bytes)
               : "memory");
}

__device__ inline void copyAsync4(void* shared, const void* global, bool inside) {
  int bytes = inside ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(shared)),
               "l"(global), "r"(bytes)
               : "memory");
}

__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most PENDING of this thread's groups are under way.
template <int PENDING>
__device__ inline void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8x8 matrices of bf16; lane i names row i % 8 of matrix i / 8.
__device__ inline void loadMatrices(u32 (&r)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row))
               : "memory");
}

__device__ inline void loadMatricesTransposed(u32 (&r)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row))
               : "memory");
}

// c[16, 8] += a[16, 16] b[16, 8], bf16 in, float32 out.
__device__ inline void multiplyAdd(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

__device__ inline i32 smaller(i32 a, i32 b) { return a < b ? a : b; }

__device__ inline float toFloat(bf16 x) { return __uint_as_float(static_cast<u32>(x.bits) << 16); }
__device__ inline float toFloat(float x) { return x; }
__device__ inline void fromFloat(float x, bf16& to) { to.bits = static_cast<u16>(packBf16(x, 0)); }
__device__ inline void fromFloat(float x, float& to) { to = x; }

// Eight neighbours at once; addresses are multiples of 16 bytes.
__device__ inline void load8(const bf16* from, float (&to)[8]) {
  uint4 raw = *reinterpret_cast<const uint4*>(from);
  u32 words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    to[2 * i] = __uint_as_float(words[i] << 16);
    to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ inline void load8(const float* from, float (&to)[8]) {
  float4 low = reinterpret_cast<const float4*>(from)[0];
  float4 high = reinterpret_cast<const float4*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ inline void store8(const float (&from)[8], bf16* to) {
  uint4 raw;
  raw.x = packBf16(from[0], from[1]);
  raw.y = packBf16(from[2], from[3]);
  raw.z = packBf16(from[4], from[5]);
  raw.w = packBf16(from[6], from[7]);
  *reinterpret_cast<uint4*>(to) = raw;
}

__device__ inline void store8(const float (&from)[8], float* to) {
  float4 low, high;
  low.x = from[0], low.y = from[1], low.z = from[2], low.w = from[3];
  high.x = from[4], high.y = from[5], high.z = from[6], high.w = from[7];
  reinterpret_cast<float4*>(to)[0] = low;
  reinterpret_cast<float4*>(to)[1] = high;
}

// The sum over groups of neighbouring lanes, in every lane; the order never changes.
__device__ inline float groupSum(float value, u32 lanes) {
  for (u32 offset = lanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(ALL_LANES, value, offset);
  }
  return value;
}

__device__ inline float groupMax(float value, u32 lanes) {
  for (u32 offset = lanes / 2; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, offset));
  }
  return value;
}
`;
