// A stand-in for libnvrtc on a machine without CUDA: compiles a kernel for the processor, with g++ and
// host_cuda.h, into what stand_in_libcuda.c loads, and counts how often it does. Nothing launches it, so that
// it is compiled in the least time. STAND_IN_HEADER and STAND_IN_FOLDER are defined where it is built.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, COMPILATION = 6 };

typedef struct { char *code, path[512]; } Program;

static unsigned compiled, made;

unsigned standInCompiled(void) { return compiled; }

int nvrtcVersion(int* major, int* minor) {
  *major = 13, *minor = 0;
  return OK;
}
const char* nvrtcGetErrorString(int status) { return status ? "NVRTC_ERROR_COMPILATION" : "NVRTC_SUCCESS"; }
int nvrtcCreateProgram(Program** result, const char* code, const char* name, int headers, const void* a,
                       const void* b) {
  (void)headers, (void)a, (void)b;
  *result = calloc(1, sizeof(Program));
  (*result)->code = strdup(code);
  snprintf((*result)->path, sizeof (*result)->path, "%s/%u_%s", STAND_IN_FOLDER, made++, name);
  return OK;
}
int nvrtcDestroyProgram(Program** program) {
  free((*program)->code);
  free(*program);
  return OK;
}
int nvrtcCompileProgram(Program* program, int count, const char** options) {
  (void)count, (void)options;
  compiled++;
  FILE* file = fopen(program->path, "w");
  if (!file) return COMPILATION;
  fprintf(file, "#include \"%s\"\n%s\n", STAND_IN_HEADER, program->code);
  const char* kernel = "extern \"C\" __global__ void ";
  for (const char* at = program->code; (at = strstr(at, kernel));) {
    at += strlen(kernel);
    if (!strncmp(at, "__launch_bounds__(", 18)) {
      at = strchr(at, ')') + 1;
      at += strspn(at, " \n");
    }
    fprintf(file, "HOST_KERNEL(%.*s)\n", (int)strcspn(at, "("), at);
  }
  fclose(file);
  char command[2048];
  snprintf(command, sizeof command,
           "g++ -x c++ -std=c++17 -O0 -shared -fPIC -U_FORTIFY_SOURCE -D_GLIBCXX_INCLUDE_NEXT_C_HEADERS -w -o %s.so %s",
           program->path, program->path);
  return system(command) ? COMPILATION : OK;
}
int nvrtcGetProgramLogSize(Program* program, size_t* size) {
  (void)program;
  *size = 1;
  return OK;
}
int nvrtcGetProgramLog(Program* program, char* log) {
  (void)program;
  *log = 0;
  return OK;
}
int nvrtcGetCUBINSize(Program* program, size_t* size) {
  *size = strlen(program->path) + 4;
  return OK;
}
int nvrtcGetCUBIN(Program* program, char* image) {
  sprintf(image, "%s.so", program->path);
  return OK;
}
