// A stand-in for an MPI library: one rank, with the handles of MPICH or, with -DSTANDARD_ABI, those of
// MPI 5.0. Ends the process with code 99 where it gets a handle or constant that is not its own. With
// -DTHREADS=n it gives at most that thread level, with -DWORLD=n it says that there are n ranks, with
// -DBROKEN its barrier fails, and with -DTRACE it writes down what it is asked to move, and moves nothing. With
// -DPEERS it is rank 1 of three, the first two of which are on one host: it writes down what it is asked to move, and
// closes when it is told to. STAND_IN of the environment is what goes wrong then: `left`, `late` or `broken`.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef STANDARD_ABI
typedef intptr_t Handle;
enum { COMM_WORLD = 0x101, ERRORS_RETURN = 0x143, FLOAT = 0x210, DOUBLE = 0x214, BYTE = 0x247, SUM = 0x21,
       MULTIPLE = 4096, DUPLICATE = 0x7fff };
static void* const IN_PLACE = (void*)1;
int MPI_Abi_get_version(int* major, int* minor) { return *major = 1, *minor = 0; }
#else
typedef int Handle;
enum { COMM_WORLD = 0x44000000, ERRORS_RETURN = 0x54000001, FLOAT = 0x4c00040a, DOUBLE = 0x4c00080b,
       BYTE = 0x4c00010d, SUM = 0x58000003, MULTIPLE = 3, DUPLICATE = (int)0x84000001 };
static void* const IN_PLACE = (void*)-1;
#endif
#ifndef THREADS
#define THREADS MULTIPLE
#endif
#ifdef PEERS
#define WORLD 3
#define RANK 1
#endif
#ifndef WORLD
#define WORLD 1
#define RANK 0
#endif
#ifndef RANK
#define RANK 0
#endif

static int goes(const char* wrong) { return getenv("STAND_IN") && !strcmp(getenv("STAND_IN"), wrong); }

static void must(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "stand-in: wrong %s\n", what);
  _Exit(99);
}

int MPI_Get_library_version(char* text, int* length) {
  return *length = sprintf(text, "MPICH Version:      9.8.7\nMPICH Release date: never"), 0;
}
int MPI_Init_thread(void* a, void* b, int required, int* provided) {
  must(!a && !b && required == MULTIPLE, "MPI_Init_thread");
  return *provided = THREADS, 0;
}
int MPI_Finalize(void) { return puts("finalized"), fflush(stdout), 0; }
int MPI_Abort(Handle comm, int code) {
  must(comm == COMM_WORLD, "MPI_Abort");
#ifdef PEERS
  // Returns, as MPI may, so that the process ends by itself.
  return printf("abort %d\n", code), fflush(stdout), 0;
#else
  _Exit(code);
#endif
}
int MPI_Error_string(int code, char* text, int* length) {
  return *length = sprintf(text, "error of class %d", code), 0;
}
int MPI_Get_processor_name(char* text, int* length) { return *length = sprintf(text, "here"), 0; }
int MPI_Comm_rank(Handle comm, int* rank) { return must(comm == COMM_WORLD, "world"), *rank = RANK; }
int MPI_Comm_size(Handle comm, int* size) { return must(comm == COMM_WORLD, "world"), *size = WORLD, 0; }
int MPI_Comm_dup(Handle comm, Handle* made) {
  return must(comm == COMM_WORLD, "world"), *made = DUPLICATE, 0;
}
int MPI_Comm_set_errhandler(Handle comm, Handle handler) {
  return must(comm == DUPLICATE && handler == ERRORS_RETURN, "handler"), 0;
}
#ifdef PEERS
static const char* of(Handle type) {
  return must(type == FLOAT || type == DOUBLE || type == BYTE, "type"),
         type == FLOAT ? "floats" : type == DOUBLE ? "doubles" : "bytes";
}
int MPI_Allreduce(void* from, void* to, int count, Handle type, Handle op, Handle comm) {
  must(from == IN_PLACE && to && op == SUM && comm == DUPLICATE, "MPI_Allreduce");
  return printf("sum %d %s\n", count, of(type)), fflush(stdout), 0;
}
int MPI_Bcast(void* bytes, int count, Handle type, int root, Handle comm) {
  must(bytes && comm == DUPLICATE, "MPI_Bcast");
  return printf("broadcast %d %s from %d\n", count, of(type), root), fflush(stdout), 0;
}
int MPI_Barrier(Handle comm) {
  if (goes("late")) sleep(10);
  printf(comm == COMM_WORLD ? "barrier of all\n" : "barrier\n"), fflush(stdout);
  return must(comm == COMM_WORLD || comm == DUPLICATE, "MPI_Barrier"), goes("broken") ? 16 : 0;
}
int MPI_Sendrecv(void* out, int outCount, Handle outType, int to, int outTag, void* in, int inCount, Handle inType,
                 int from, int inTag, Handle comm, void* status) {
  static int received;
  (void)status;
  must(out && in && outType == inType && outTag == inTag && comm == DUPLICATE, "MPI_Sendrecv");
  // The first two are names of hosts, of rank 0 and then of rank 2.
  if (++received <= 2) return must(inCount == 512 && outType == BYTE, "host"), strcpy(in, received == 1 ? "here" : "there"), 0;
  printf("send %d to %d, receive %d %s from %d\n", outCount, to, inCount, of(inType), from);
  return fflush(stdout), 0;
}
int MPI_Reduce_local(void* from, void* to, int count, Handle type, Handle op) {
  must(from && to && op == SUM, "MPI_Reduce_local");
  return printf("add %d %s\n", count, of(type)), fflush(stdout), 0;
}
// Of the heartbeats: rank 0 says who is last, and closes or names the one that left when this rank closes.
static double verdict[8], last[8] = {0, 2, 0};
static int pending = 1;
int MPI_Iprobe(int source, int tag, Handle comm, int* flag, void* status) {
  (void)tag, (void)status;
  return must(source == -2 && comm == DUPLICATE, "MPI_Iprobe"), *flag = pending > 0, 0;
}
int MPI_Recv(double* to, int count, Handle type, int source, int tag, Handle comm, void* status) {
  (void)tag, (void)status;
  must(count == 64 && type == BYTE && source == -2 && comm == DUPLICATE, "MPI_Recv");
  return memcpy(to, verdict[3] ? verdict : last, 64), pending = 0;
}
int MPI_Isend(double* from, int count, Handle type, int to, int tag, Handle comm, void* request) {
  (void)tag, (void)request;
  must(count == 64 && type == BYTE && to == 0 && comm == DUPLICATE && from[0] == RANK, "MPI_Isend");
  if (!from[3]) return 0;
  printf("closes after %g of kind %g\n", from[1], from[2]), fflush(stdout);
  const double left[8] = {0, 1, 2, 2, 1, 2, 4, 3}, closed[8] = {0, 1, from[1], 1};
  return memcpy(verdict, goes("left") ? left : closed, sizeof verdict), pending = 1, 0;
}
int MPI_Test(void* request, int* flag, void* status) { return (void)request, (void)status, *flag = 1, 0; }
#else
int MPI_Allreduce(void* from, void* to, int count, Handle type, Handle op, Handle comm) {
  must(from == IN_PLACE && op == SUM && comm == DUPLICATE, "MPI_Allreduce");
#ifdef TRACE
  return printf("sum %zx %d\n", (size_t)to, count), fflush(stdout), 0;
#endif
  if (type == DOUBLE) return ((double*)to)[count - 1] *= 2, 0;
  must(type == FLOAT, "type");
  return ((float*)to)[count - 1] *= 2, 0;
}
int MPI_Bcast(void* bytes, int count, Handle type, int root, Handle comm) {
  must(type == BYTE && root == 0 && comm == DUPLICATE, "MPI_Bcast");
  return memset(bytes, 7, count), 0;
}
int MPI_Barrier(Handle comm) {
  must(comm == DUPLICATE, "MPI_Barrier");
#ifdef BROKEN
  return 16;
#else
  return 0;
#endif
}
#ifdef TRACE
int MPI_Sendrecv(void* out, int outCount, Handle outType, int to, int outTag, void* in, int inCount, Handle inType,
                 int from, int inTag, Handle comm, void* status) {
  (void)in, (void)status;
  must(outType == inType && outTag == inTag && comm == DUPLICATE, "MPI_Sendrecv");
  return printf("send %zx %d to %d, receive %d from %d\n", (size_t)out, outCount, to, inCount, from), fflush(stdout), 0;
}
int MPI_Reduce_local(void* from, void* to, int count, Handle type, Handle op) {
  must(from && type == FLOAT && op == SUM, "MPI_Reduce_local");
  return printf("add %zx %d\n", (size_t)to, count), fflush(stdout), 0;
}
#else
int MPI_Sendrecv(void) { must(0, "MPI_Sendrecv"); return 0; }
int MPI_Reduce_local(void) { must(0, "MPI_Reduce_local"); return 0; }
#endif
int MPI_Iprobe(void) { must(0, "MPI_Iprobe"); return 0; }
int MPI_Recv(void) { must(0, "MPI_Recv"); return 0; }
int MPI_Isend(void) { must(0, "MPI_Isend"); return 0; }
int MPI_Test(void) { must(0, "MPI_Test"); return 0; }
#endif
