/*
 * Stand-ins for the CUDA libraries: enough for ONNX Runtime's CUDA provider to start and to create
 * sessions on a machine without a GPU. Device memory is host memory, kernels do nothing. What runs on
 * them computes nothing; what is placed on them is placed as on a real device.
 *
 * build_folder.ts compiles this once for each library, with every other symbol of it as a function
 * that answers 0 (success). Where CUDA_STANDIN_LOG is set, calls that move memory, start kernels or
 * wait are told on standard error, a line each: `cuda: NAME NUMBERS`. CUDA_STANDIN_MEMORY is how many
 * bytes the device has; allocations beyond it fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *name, long long first, long long second) {
  static int on = -1;
  if (on < 0) on = getenv("CUDA_STANDIN_LOG") != NULL;
  if (on) fprintf(stderr, "cuda: %s %lld %lld\n", name, first, second);
}

#ifdef STANDIN_CUDART
static int allocate(void **pointer, size_t bytes) {
  *pointer = aligned_alloc(256, (bytes + 255) / 256 * 256 + 256);
  return *pointer ? 0 : 2; /* cudaErrorMemoryAllocation */
}
static size_t memory(void) {
  const char *bytes = getenv("CUDA_STANDIN_MEMORY");
  return bytes ? (size_t)atoll(bytes) : (size_t)128 << 30;
}
static size_t held; /* what is freed stays counted: no test asks for more */
int cudaMalloc(void **pointer, size_t bytes) {
  if (held + bytes > memory()) return 2; /* cudaErrorMemoryAllocation */
  int code = allocate(pointer, bytes);
  held += bytes;
  say("cudaMalloc", bytes, (long long)*pointer);
  return code;
}
int cudaMallocHost(void **pointer, size_t bytes) { return allocate(pointer, bytes); }
int cudaHostAlloc(void **pointer, size_t bytes, unsigned flags) { return allocate(pointer, bytes); }
int cudaFree(void *pointer) { say("cudaFree", 0, (long long)pointer); free(pointer); return 0; }
int cudaFreeHost(void *pointer) { free(pointer); return 0; }
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind) { say("cudaMemcpy", bytes, kind); memmove(to, from, bytes); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) { say("cudaMemcpyAsync", bytes, kind); memmove(to, from, bytes); return 0; }
int cudaMemset(void *to, int byte, size_t bytes) { memset(to, byte, bytes); return 0; }
int cudaMemsetAsync(void *to, int byte, size_t bytes, void *stream) { say("cudaMemsetAsync", bytes, byte); memset(to, byte, bytes); return 0; }
int cudaStreamSynchronize(void *stream) { say("cudaStreamSynchronize", 0, (long long)stream); return 0; }
int cudaDeviceSynchronize(void) { say("cudaDeviceSynchronize", 0, 0); return 0; }
int cudaEventSynchronize(void *event) { say("cudaEventSynchronize", 0, 0); return 0; }
int cudaLaunchKernel(const void *kernel, unsigned long long a, unsigned b, unsigned long long c, unsigned d, void **e, size_t f, void *stream) { say("cudaLaunchKernel", 0, (long long)stream); return 0; }
int __cudaLaunchKernel(const void *kernel, unsigned long long a, unsigned b, unsigned long long c, unsigned d, void **e, size_t f, void *stream) { say("cudaLaunchKernel", 0, 0); return 0; }
int cudaLaunchKernelExC(const void *config, const void *kernel, void **arguments) { say("cudaLaunchKernel", 0, 0); return 0; }
int cudaMemGetInfo(size_t *available, size_t *total) { *total = memory(); *available = *total - held; return 0; }
int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
const char *cudaGetErrorString(int code) { return "stand-in"; }
const char *cudaGetErrorName(int code) { return "stand-in"; }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return 0; }
static int handle(void **out) { *out = malloc(8); return 0; }
int cudaStreamCreate(void **out) { return handle(out); }
int cudaStreamCreateWithFlags(void **out, unsigned flags) { return handle(out); }
int cudaEventCreate(void **out) { return handle(out); }
int cudaEventCreateWithFlags(void **out, unsigned flags) { return handle(out); }
void **__cudaRegisterFatBinary(void *binary) { static void *registered; return &registered; }
/* Attributes by number (driver_types.h): compute capability 9.0, 132 multiprocessors, 227 KiB of
 * shared memory a block. */
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
    case 75: *value = 9; break;
    case 76: *value = 0; break;
    case 16: *value = 132; break;
    case 8: case 97: *value = 232448; break;
    default: *value = 1;
  }
  return 0;
}
/* cudaDeviceProp of CUDA 13, by offset: name, memory, limits of blocks and grids, capability. What
 * is not named is given a size that no check refuses. */
int cudaGetDeviceProperties(char *properties, int device) {
  memset(properties, 0, 800);
  strcpy(properties, "CUDA stand-in");
  *(size_t *)(properties + 288) = (size_t)128 << 30; /* totalGlobalMem */
  *(size_t *)(properties + 296) = 49152;             /* sharedMemPerBlock */
  *(int *)(properties + 304) = 65536;                /* regsPerBlock */
  *(int *)(properties + 308) = 32;                   /* warpSize */
  *(int *)(properties + 320) = 1024;                 /* maxThreadsPerBlock */
  int limits[] = {1024, 1024, 64, 2147483647, 65535, 65535};
  memcpy(properties + 324, limits, sizeof limits);   /* maxThreadsDim, maxGridSize */
  *(int *)(properties + 360) = 9;                    /* major */
  for (int at = 384; at < 720; at += 4) *(int *)(properties + at) = 2048;
  return 0;
}
#endif
#ifdef STANDIN_CUBLAS
int cublasGemmEx(void) { say("cublasGemm", 0, 0); return 0; }
int cublasSgemm_v2(void) { say("cublasGemm", 0, 0); return 0; }
int cublasGemmStridedBatchedEx(void) { say("cublasGemm", 0, 0); return 0; }
int cublasSgemmStridedBatched(void) { say("cublasGemm", 0, 0); return 0; }
int cublasCreate_v2(void **out) {
  static int handle;
  const char *config = getenv("CUBLAS_WORKSPACE_CONFIG");
  /* Whether workspaces are of the size that the memory plan counts. */
  say("cublasCreate", 0, config != NULL && strcmp(config, ":4096:2:16:8") == 0);
  *out = &handle;
  return 0;
}
int cublasDestroy_v2(void *handle) { say("cublasDestroy", 0, 0); return 0; }
#endif
#ifdef STANDIN_CUBLASLT
int cublasLtCreate(void **out) { static int handle; *out = &handle; return 0; }
#endif
