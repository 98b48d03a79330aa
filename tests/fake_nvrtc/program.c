/*
 * program.c: programs of the fake NVRTC. A "compile" finds the kernels that the source names and
 * builds a cubin of them for the target.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake_cubin.h"
#include "nvrtc_functions.h"

enum { NAME_SIZE = 64, PTX_SIZE = 1024, LOG_SIZE = 256 };

struct _nvrtcProgram {
  char *source;
  char *name;
  char log[LOG_SIZE];
  int (*flow)(void *payload, void *reserved);
  void *flow_payload;
  bool has_cubin;
  struct tiny_cubin cubin;
  char ptx[PTX_SIZE];
};

nvrtcResult nvrtcVersion(int *major, int *minor) {
  struct fake_nvrtc_settings settings;
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  if (!major || !minor) return NVRTC_ERROR_INVALID_INPUT;
  fake_nvrtc_settings_read(&settings);
  *major = settings.version_major;
  *minor = settings.version_minor;
  return NVRTC_SUCCESS;
}

const char *nvrtcGetErrorString(nvrtcResult result) {
  switch ((int)result) {
    case NVRTC_SUCCESS:
      return "NVRTC_SUCCESS";
    case NVRTC_ERROR_OUT_OF_MEMORY:
      return "NVRTC_ERROR_OUT_OF_MEMORY";
    case NVRTC_ERROR_INVALID_INPUT:
      return "NVRTC_ERROR_INVALID_INPUT";
    case NVRTC_ERROR_INVALID_PROGRAM:
      return "NVRTC_ERROR_INVALID_PROGRAM";
    case NVRTC_ERROR_INVALID_OPTION:
      return "NVRTC_ERROR_INVALID_OPTION";
    case NVRTC_ERROR_COMPILATION:
      return "NVRTC_ERROR_COMPILATION";
    case NVRTC_ERROR_CANCELLED:
      return "NVRTC_ERROR_CANCELLED";
    default:
      return "NVRTC_ERROR unknown";
  }
}

nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
  struct fake_nvrtc_settings settings;
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  fake_nvrtc_settings_read(&settings);
  *count = settings.arch_count;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int *archs) {
  struct fake_nvrtc_settings settings;
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  fake_nvrtc_settings_read(&settings);
  memcpy(archs, settings.archs, (size_t)settings.arch_count * sizeof *archs);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name,
                               int header_count, const char *const *headers,
                               const char *const *include_names) {
  (void)headers;
  (void)include_names;
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  if (!program || !source || header_count != 0) return NVRTC_ERROR_INVALID_INPUT;
  nvrtcProgram created = calloc(1, sizeof *created);
  if (!created) return NVRTC_ERROR_OUT_OF_MEMORY;
  created->source = strdup(source);
  created->name = strdup(name ? name : "default_program");
  if (!created->source || !created->name) {
    nvrtcDestroyProgram(&created);
    return NVRTC_ERROR_OUT_OF_MEMORY;
  }
  *program = created;
  return NVRTC_SUCCESS;
}

/* Frees even with an injected fault, or the program would leak. */
nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
  free((*program)->source);
  free((*program)->name);
  free(*program);
  *program = NULL;
  return fault;
}

/* The name before the parameters of the declaration that continues here. */
static bool read_kernel_name(const char *at, char name[NAME_SIZE]) {
  for (;;) {
    at += strcspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_;{");
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_') ++length;
    if (length == 0 || length >= NAME_SIZE) return false;
    const bool is_bounds = strncmp(at, "__launch_bounds__", length) == 0;
    const char *next = at + length + strspn(at + length, " \n");
    if (*next == '(' && !is_bounds) {
      memcpy(name, at, length);
      name[length] = '\0';
      return true;
    }
    at = *next == '(' ? next + strcspn(next, ")") : next;
  }
}

static int find_kernels(const char *source, char names[TINY_CUBIN_KERNELS][NAME_SIZE]) {
  static const char mark[] = "\nextern \"C\" __global__ ";
  int count = 0;
  for (const char *at = strstr(source, mark); at && count < TINY_CUBIN_KERNELS;
       at = strstr(at, mark)) {
    at += strlen(mark);
    if (read_kernel_name(at, names[count])) ++count;
  }
  return count;
}

/* FNV-1a over the texts that determine the image. */
static uint64_t hash_text(uint64_t hash, const char *text) {
  for (; *text; ++text) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
  return hash * 0x100000001b3u;
}

static void make_ptx(nvrtcProgram program, const struct fake_nvrtc_settings *settings, int arch,
                     const char *const kernels[TINY_CUBIN_KERNELS], const char *comment) {
  /* CUDA 13.0 brought PTX 9.0, 12.x about 8.x, 11.8 7.8 */
  int used =
      snprintf(program->ptx, PTX_SIZE, "// %s\n.version %d.%d\n.target sm_%d\n.address_size 64\n",
               comment, settings->version_major - 4, settings->version_minor, arch);
  for (int k = 0; k < TINY_CUBIN_KERNELS && kernels[k]; ++k) {
    used += snprintf(program->ptx + used, PTX_SIZE - (size_t)used,
                     ".visible .entry %s()\n{\nret;\n}\n", kernels[k]);
  }
}

static void build_images(nvrtcProgram program, const struct fake_nvrtc_settings *settings, int arch,
                         uint64_t hash) {
  char names[TINY_CUBIN_KERNELS][NAME_SIZE];
  const char *kernels[TINY_CUBIN_KERNELS] = {NULL};
  char comment[TINY_CUBIN_TEXT];
  const int count = find_kernels(program->source, names);
  for (int k = 0; k < count; ++k) kernels[k] = names[k];
  snprintf(comment, sizeof comment, "fake NVRTC %d.%d, input %016llx", settings->version_major,
           settings->version_minor, (unsigned long long)hash);
  program->cubin = tiny_cubin_make(settings->version_major >= 13 ? 8 : 7, arch, kernels, comment);
  make_ptx(program, settings, arch, kernels, comment);
}

static bool knows_arch(const struct fake_nvrtc_settings *settings, int arch) {
  for (int i = 0; i < settings->arch_count; ++i) {
    if (settings->archs[i] == arch) return true;
  }
  return false;
}

static const char *target_in(int option_count, const char *const *options) {
  static const char mark[] = "--gpu-architecture=";
  for (int i = 0; i < option_count; ++i) {
    if (strncmp(options[i], mark, strlen(mark)) == 0) return options[i] + strlen(mark);
  }
  return "compute_52";
}

nvrtcResult nvrtcSetFlowCallback(nvrtcProgram program, int (*callback)(void *, void *),
                                 void *payload) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  program->flow = callback;
  program->flow_payload = payload;
  return NVRTC_SUCCESS;
}

/* A source of one line: udm tries an NVRTC with it. The tests count and delay the kernel's
 * compiles. */
static bool is_trial(const char *source) {
  return source[strcspn(source, "\n")] == '\0' || source[strcspn(source, "\n") + 1] == '\0';
}

/* The time that a compile takes. Asks every 10 ms whether to stop, and then returns true. */
static bool take_time(nvrtcProgram program, int delay_ms) {
  enum { STEP_MS = 10 };
  for (int rest = delay_ms; rest > 0; rest -= STEP_MS) {
    const int step = rest < STEP_MS ? rest : STEP_MS;
    const struct timespec delay = {0, step * 1000000L};
    if (program->flow && program->flow(program->flow_payload, NULL) == 1) return true;
    nanosleep(&delay, NULL);
  }
  return false;
}

/* As the front end of the real NVRTC does for a part of each compile. */
static void die_of_signal(int signal_number) {
  (void)signal_number;
  _exit(4);
}

static void set_handlers(void (*handler)(int)) {
  signal(SIGINT, handler);
  signal(SIGTERM, handler);
}

static nvrtcResult compile(nvrtcProgram program, int option_count, const char *const *options) {
  struct fake_nvrtc_settings settings;
  int arch = 0;
  uint64_t hash = hash_text(0xcbf29ce484222325u, program->source);
  const char *target = target_in(option_count, options);
  for (int i = 0; i < option_count; ++i) hash = hash_text(hash, options[i]);
  fake_nvrtc_settings_read(&settings);
  if (!is_trial(program->source)) {
    const bool takes_signals = getenv("UDM_FAKE_NVRTC_SIGNALS") != NULL;
    if (takes_signals) set_handlers(die_of_signal);
    fake_cuda_log_compile(target);
    const bool stopped = take_time(program, settings.delay_ms);
    if (takes_signals) set_handlers(SIG_DFL);
    if (stopped) return NVRTC_ERROR_CANCELLED;
  }
  program->has_cubin = sscanf(target, "sm_%d", &arch) == 1;
  if ((!program->has_cubin && sscanf(target, "compute_%d", &arch) != 1) ||
      !knows_arch(&settings, arch)) {
    snprintf(program->log, LOG_SIZE,
             "nvrtc: error: invalid value for --gpu-architecture (-arch): %s\n", target);
    return NVRTC_ERROR_INVALID_OPTION;
  }
  if (strstr(program->source, "\n#error")) {
    snprintf(program->log, LOG_SIZE, "%s(1): error: #error\n", program->name);
    return NVRTC_ERROR_COMPILATION;
  }
  build_images(program, &settings, arch, hash);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int option_count,
                                const char *const *options) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (fault != NVRTC_SUCCESS) {
    snprintf(program->log, LOG_SIZE, "%s(7): error: a fault that a test asked for\n",
             program->name);
    return fault;
  }
  return compile(program, option_count, options);
}

/* Like the real NVRTC: a program for compute_NN has no cubin. */
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *size) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault == NVRTC_SUCCESS) *size = program->has_cubin ? sizeof program->cubin : 0;
  return fault;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *cubin) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault != NVRTC_SUCCESS) return fault;
  if (!program->has_cubin) return NVRTC_ERROR_INVALID_PROGRAM;
  memcpy(cubin, &program->cubin, sizeof program->cubin);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *size) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault == NVRTC_SUCCESS) *size = strlen(program->ptx) + 1;
  return fault;
}

nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *ptx) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault == NVRTC_SUCCESS) memcpy(ptx, program->ptx, strlen(program->ptx) + 1);
  return fault;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault == NVRTC_SUCCESS) *size = strlen(program->log) + 1;
  return fault;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) {
  const nvrtcResult fault = fake_cuda_fault(__func__);
  if (fault == NVRTC_SUCCESS) memcpy(log, program->log, strlen(program->log) + 1);
  return fault;
}
