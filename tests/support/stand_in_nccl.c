// Stand-ins for libnccl.so.2 and for what collectives need of libcuda.so.1, on a machine without a GPU: each
// call is written down as a line, and nothing is computed. As strict as the libraries about the current
// context and handles. Where CUDA_STANDIN_LOG is set the lines are told on standard error as they come, each
// after `nccl: `.

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_READY = 600 };
enum { CONTEXT = 0xc0, STREAM = 0x50, COMM = 0xcc };

static char lines[1 << 16];
static int pending, asynchronous, refused;
static uintptr_t current, events, compute = 0x77;

static void note(const char* format, ...) {
  va_list values;
  va_start(values, format);
  if (getenv("CUDA_STANDIN_LOG")) fprintf(stderr, "nccl: "), vfprintf(stderr, format, values);
  else vsnprintf(lines + strlen(lines), sizeof lines - strlen(lines), format, values);
  va_end(values);
}
const char* standInLines(void) { return lines; }
void standInClear(void) { *lines = 0; }
// The stream that computes, in place of the test's own.
void standInCompute(uintptr_t stream) { compute = stream; }
// Queries of an event that are not ready, the asynchronous error, and what the next collective answers.
void standInSet(int newPending, int newAsynchronous, int newRefused) {
  pending = newPending, asynchronous = newAsynchronous, refused = newRefused;
}

int cuInit(unsigned flags) { return flags; }
int cuGetErrorName(int code, const char** name) {
  return *name = code == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT" : "CUDA_ERROR_INVALID_HANDLE", OK;
}
int cuDeviceGet(int* device, int index) { return note("device %d\n", index), *device = index, OK; }
int cuDevicePrimaryCtxRetain(uintptr_t* context, int device) { return *context = CONTEXT + device, OK; }
int cuDevicePrimaryCtxRelease_v2(int device) { return note("release %d\n", device), OK; }
int cuCtxSetCurrent(uintptr_t context) { return current = context, OK; }
int cuStreamCreate(uintptr_t* stream, unsigned flags) {
  if (!current) return INVALID_CONTEXT;
  return note("stream, flags %u\n", flags), *stream = STREAM, OK;
}
int cuStreamDestroy_v2(uintptr_t stream) { return note("destroy stream\n"), stream == STREAM ? OK : INVALID_HANDLE; }
int cuStreamWaitEvent(uintptr_t stream, uintptr_t event, unsigned flags) {
  if ((stream != STREAM && stream != compute) || !event || event > events || flags) return INVALID_HANDLE;
  return note("%s waits for event %d\n", stream == STREAM ? "nccl" : "compute", (int)event), OK;
}
int cuEventCreate(uintptr_t* event, unsigned flags) { return *event = ++events, flags == 2 ? OK : INVALID_HANDLE; }
int cuEventDestroy_v2(uintptr_t event) { return event && event <= events ? OK : INVALID_HANDLE; }
int cuEventRecord(uintptr_t event, uintptr_t stream) {
  if ((stream != STREAM && stream != compute) || !event || event > events) return INVALID_HANDLE;
  return note("event %d on %s\n", (int)event, stream == STREAM ? "nccl" : "compute"), OK;
}
int cuEventQuery(uintptr_t event) {
  if (!event || event > events) return INVALID_HANDLE;
  return pending-- > 0 ? NOT_READY : OK;
}

typedef struct { char bytes[128]; } Id;

int ncclGetVersion(int* version) { return *version = 22703, OK; }
const char* ncclGetErrorString(int code) { return code == 6 ? "remote process exited" : "unhandled cuda error"; }
const char* ncclGetLastError(uintptr_t comm) { return comm == COMM ? "socket closed\n" : ""; }
int ncclGetUniqueId(Id* id) {
  note("unique id\n");
  for (int i = 0; i < 128; i++) id->bytes[i] = (char)(i + 1);
  return OK;
}
int ncclCommInitRank(uintptr_t* comm, int size, Id id, int rank) {
  for (int i = 0; i < 128; i++) if (id.bytes[i] != (char)(i + 1)) return 4;
  if (!current) return 1;
  return note("rank %d of %d on context %x\n", rank, size, (unsigned)current), *comm = COMM, OK;
}
int ncclCommDestroy(uintptr_t comm) { return note("destroy\n"), comm == COMM ? OK : 4; }
int ncclCommAbort(uintptr_t comm) { return note("abort\n"), comm == COMM ? OK : 4; }
int ncclCommGetAsyncError(uintptr_t comm, int* error) { return *error = asynchronous, comm == COMM ? OK : 4; }
int ncclGroupStart(void) { return note("group\n"), OK; }
int ncclGroupEnd(void) { return note("end of group\n"), OK; }

static int collective(const char* name, size_t from, size_t to, size_t count, int type, int root, uintptr_t comm,
                      uintptr_t stream) {
  if (comm != COMM || stream != STREAM || !current) return 4;
  note("%s %zx to %zx, %zu of type %d, root %d\n", name, from, to, count, type, root);
  return refused;
}
int ncclAllReduce(size_t from, size_t to, size_t count, int type, int op, uintptr_t comm, uintptr_t stream) {
  return op ? 4 : collective("all-reduce", from, to, count, type, -1, comm, stream);
}
int ncclReduce(size_t from, size_t to, size_t count, int type, int op, int root, uintptr_t comm, uintptr_t stream) {
  return op ? 4 : collective("reduce", from, to, count, type, root, comm, stream);
}
int ncclReduceScatter(size_t from, size_t to, size_t count, int type, int op, uintptr_t comm, uintptr_t stream) {
  return op ? 4 : collective("reduce-scatter", from, to, count, type, -1, comm, stream);
}
int ncclAllGather(size_t from, size_t to, size_t count, int type, uintptr_t comm, uintptr_t stream) {
  return collective("all-gather", from, to, count, type, -1, comm, stream);
}
int ncclBroadcast(size_t from, size_t to, size_t count, int type, int root, uintptr_t comm, uintptr_t stream) {
  return collective("broadcast", from, to, count, type, root, comm, stream);
}
