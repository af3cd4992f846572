// A stand-in for libcuda.so.1 on a machine without a GPU: device memory is host memory, a module's
// image is the path of a shared object made of a kernel and host_cuda.h, and a launch runs it there
// and then. As strict as the driver about contexts, handles and shared memory; keeps a record of
// launches for tests.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
       INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500,
       ILLEGAL_ADDRESS = 700 };
enum { MODULES = 256, FUNCTIONS = 1024, LAUNCHES = 4096 };

typedef void (*Launch)(void**, const unsigned*, const unsigned*, unsigned);
typedef struct { void* library; } Module;
typedef struct { char name[64]; Launch launch; int sharedBytes; Module* module; } Function;
typedef struct { uint64_t stream; uint32_t grid[3], block[3], sharedBytes; char name[64]; } Record;

static int initialized, retained, devices = 1, capability = 90;
static char context;
static void* current;
static Module modules[MODULES];
static Function functions[FUNCTIONS];
static Record records[LAUNCHES];
static unsigned moduleCount, functionCount, recordCount;

void standInDevices(int count, int newCapability) { devices = count, capability = newCapability; }
int standInRetained(void) { return retained; }
unsigned standInRecords(void* to, unsigned size) {
  unsigned count = recordCount < size ? recordCount : size;
  memcpy(to, records, count * sizeof(Record));
  recordCount = 0;
  return count;
}
int standInSetOrder(unsigned order) {
  int told = 0;
  for (unsigned i = 0; i < moduleCount; i++) {
    if (!modules[i].library) continue;
    ((void (*)(unsigned))dlsym(modules[i].library, "hostSetOrder"))(order);
    told++;
  }
  return told;
}

// The kernel of that name faults from now on: as on a device, whoever waits next is told, and once.
static char faulty[64];
static int fault;
void standInFault(const char* name) {
  snprintf(faulty, sizeof faulty, "%s", name);
  fault = 0;
}

int cuInit(unsigned flags) {
  if (flags) return INVALID_VALUE;
  if (!devices) return NO_DEVICE;
  initialized = 1;
  return OK;
}
int cuGetErrorName(int status, const char** name) {
  switch (status) {
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; return OK;
    case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; return OK;
    case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; return OK;
    case INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; return OK;
    case INVALID_CONTEXT: *name = "CUDA_ERROR_INVALID_CONTEXT"; return OK;
    case ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return OK;
    case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; return OK;
    default: *name = 0; return INVALID_VALUE;
  }
}
int cuDeviceGet(int* device, int ordinal) {
  if (!initialized) return NOT_INITIALIZED;
  if (ordinal < 0 || ordinal >= devices) return INVALID_DEVICE;
  *device = ordinal;
  return OK;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (device >= devices) return INVALID_DEVICE;
  switch (attribute) {
    case 16: *value = 132; return OK;
    case 75: *value = capability / 10; return OK;
    case 76: *value = capability % 10; return OK;
    default: return INVALID_VALUE;
  }
}
int cuDevicePrimaryCtxRetain(void** result, int device) {
  if (device >= devices) return INVALID_DEVICE;
  retained++;
  *result = &context;
  return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  (void)device;
  if (--retained == 0) current = 0;
  return OK;
}
int cuCtxSetCurrent(void* to) {
  if (to != &context) return INVALID_CONTEXT;
  current = to;
  return OK;
}
int cuCtxSynchronize(void) { return current ? OK : INVALID_CONTEXT; }
static unsigned waits;
unsigned standInWaits(void) {
  unsigned count = waits;
  waits = 0;
  return count;
}
int cuStreamSynchronize(void* stream) {
  (void)stream;
  if (current != &context) return INVALID_CONTEXT;
  waits++;
  int told = fault;
  fault = OK;
  return told;
}
int cuMemHostAlloc(void** result, size_t size, unsigned flags) {
  if (current != &context) return INVALID_CONTEXT;
  // At least as aligned as cuMemAlloc's.
  *result = flags ? 0 : aligned_alloc(256, (size + 255) / 256 * 256);
  return *result ? OK : INVALID_VALUE;
}
int cuMemFreeHost(void* memory) {
  free(memory);
  return OK;
}
int cuMemAlloc_v2(void** result, size_t size) { return cuMemHostAlloc(result, size, 0); }
int cuMemFree_v2(void* memory) { return cuMemFreeHost(memory); }
int cuMemcpyHtoD_v2(void* to, const void* from, size_t size) {
  memcpy(to, from, size);
  return OK;
}
int cuMemsetD16_v2(uint16_t* to, uint16_t value, size_t count) {
  for (size_t i = 0; i < count; i++) to[i] = value;
  return OK;
}
int cuEventCreate(struct timespec** event, unsigned flags) {
  *event = flags ? 0 : calloc(1, sizeof(struct timespec));
  return *event ? OK : INVALID_VALUE;
}
int cuEventRecord(struct timespec* event, void* stream) {
  (void)stream;
  return clock_gettime(CLOCK_MONOTONIC, event) ? INVALID_VALUE : OK;
}
int cuEventSynchronize(struct timespec* event) { return event->tv_sec ? OK : INVALID_VALUE; }
int cuEventElapsedTime(float* milliseconds, struct timespec* start, struct timespec* end) {
  *milliseconds = 1e3f * (end->tv_sec - start->tv_sec) + 1e-6f * (end->tv_nsec - start->tv_nsec);
  return OK;
}
int cuEventDestroy_v2(struct timespec* event) {
  free(event);
  return OK;
}
int cuModuleLoadData(Module** result, const char* image) {
  if (current != &context) return INVALID_CONTEXT;
  if (image[0] != '/' || moduleCount == MODULES) return INVALID_IMAGE;
  void* library = dlopen(image, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "stand-in: %s\n", dlerror());
    return INVALID_IMAGE;
  }
  *result = &modules[moduleCount++];
  (*result)->library = library;
  return OK;
}
int cuModuleUnload(Module* module) {
  if (!module->library) return INVALID_HANDLE;
  // Left mapped: the fibres' stacks are reused by nobody else.
  module->library = 0;
  return OK;
}
int cuModuleGetFunction(Function** result, Module* module, const char* name) {
  char symbol[96];
  if (!module->library || functionCount == FUNCTIONS) return INVALID_HANDLE;
  snprintf(symbol, sizeof symbol, "hostLaunch_%s", name);
  Launch launch = (Launch)dlsym(module->library, symbol);
  if (!launch) return NOT_FOUND;
  *result = &functions[functionCount++];
  snprintf((*result)->name, sizeof (*result)->name, "%s", name);
  (*result)->launch = launch;
  (*result)->sharedBytes = 48 << 10;
  (*result)->module = module;
  return OK;
}
int cuFuncSetAttribute(Function* function, int attribute, int value) {
  // 227 KiB is what a block may have on compute capability 9.0.
  if (attribute != 8 || value > 227 << 10) return INVALID_VALUE;
  function->sharedBytes = value;
  return OK;
}
int cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned sharedBytes, void* stream, void** values,
                   void** extra) {
  if (current != &context) return INVALID_CONTEXT;
  if (!function->module->library) return INVALID_HANDLE;
  if (extra || !gx || !gy || !gz || !bx || !by || !bz || gy > 65535 || gz > 65535 ||
      bx * by * bz > 1024 || (int)sharedBytes > function->sharedBytes)
    return INVALID_VALUE;
  unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  if (recordCount < LAUNCHES) {
    Record* record = &records[recordCount++];
    record->stream = (uint64_t)(uintptr_t)stream;
    memcpy(record->grid, grid, sizeof grid);
    memcpy(record->block, block, sizeof block);
    record->sharedBytes = sharedBytes;
    memcpy(record->name, function->name, sizeof record->name);
  }
  function->launch(values, grid, block, sharedBytes);
  if (faulty[0] && !strcmp(faulty, function->name)) fault = ILLEGAL_ADDRESS;
  return OK;
}
