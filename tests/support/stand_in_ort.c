/* An ONNX Runtime of another kind, for tests of what is said about it. VERSION is what it tells of
 * itself; without REAL, the path of npm's library, it has no table of functions, as one that is too
 * old; with it the functions are that library's, but for the one that adds a provider. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

/* Slots of OrtApi in onnxruntime_c_api.h: up to CopyTensors, the last that ortune calls. */
enum { CREATE_STATUS = 0, APPEND_PROVIDER = 216, SLOTS = 387 };

typedef struct {
  const void *(*get_api)(uint32_t);
  const char *(*get_version)(void);
} Base;

static void *table[SLOTS];

static void *refuse(void *options, const char *name, const char *const *keys,
                    const char *const *values, size_t count) {
  (void)options, (void)name, (void)keys, (void)values, (void)count;
  void *(*create_status)(int, const char *) = (void *(*)(int, const char *))table[CREATE_STATUS];
  return create_status(1, "WebGPU execution provider is not supported in this build. ");
}

static const void *get_api(uint32_t version) {
#ifdef REAL
  void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
  const Base *(*base)(void) = (const Base *(*)(void))dlsym(library, "OrtGetApiBase");
  memcpy(table, base()->get_api(version), sizeof table);
  table[APPEND_PROVIDER] = (void *)refuse;
  return table;
#else
  (void)version;
  return 0;
#endif
}

static const char *get_version(void) { return VERSION; }

const Base *OrtGetApiBase(void) {
  static const Base base = {get_api, get_version};
  return &base;
}
