/*
 * udm prewarm: compile the kernel into the cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "command.h"
#include "output.h"
#include "progress.h"
#include "table.h"
#include "udm.h"

static const char kHelp[] =
    "usage: udm prewarm [OPTION...]\n"
    "\n"
    "Compiles the kernel into the cache, so that no server has to. Needs NVRTC, but neither\n"
    "a GPU nor a driver. An architecture whose entry is there and whole is not compiled.\n"
    "\n"
    "  --arch LIST       sm_80,sm_90 and so on; all: every one that NVRTC knows; native:\n"
    "                    those of this machine's GPUs (native, without a GPU all)\n"
    "  --jobs N          compiles at once (as many as there are processors)\n"
    "  --force           compile even what is there\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            one JSON object\n"
    "\n"
    "examples\n"
    "  udm prewarm\n"
    "  udm prewarm --arch sm_80,sm_90,sm_100 --cache-dir /opt/udm-cache    an image build\n"
    "  UDM_CACHE_PATH=/opt/udm-cache UDM_NO_COMPILE=1 serve                what it is for\n";

enum { kArch = kOptionFirst, kJobs, kForce, kCacheDir, kJson };

static const struct option kOptions[] = {
    {"arch", required_argument, NULL, kArch},
    {"jobs", required_argument, NULL, kJobs},
    {"force", no_argument, NULL, kForce},
    {"cache-dir", required_argument, NULL, kCacheDir},
    {"json", no_argument, NULL, kJson},
    {"help", no_argument, NULL, kOptionHelp},
    {NULL, 0, NULL, 0},
};

typedef struct prewarm_job {
  int32_t arch;
  udm_status status;
  udm_prewarm_result result;
  char *error; /* NULL: none */
} prewarm_job;

typedef struct prewarm {
  udm_options options;
  const char *arch_list; /* NULL: native, without a GPU all */
  int64_t thread_count;  /* 0: as many as there are processors */
  uint32_t flags;
  bool json;
  udm_nvrtc_info nvrtc;
  prewarm_job jobs[UDM_MAX_ARCHS];
  int32_t job_count;
  pthread_mutex_t lock; /* of the next three */
  int32_t next;
  int32_t done;
  progress_bar bar;
} prewarm;

static bool add_arch(prewarm *work, int32_t arch) {
  for (int32_t i = 0; i < work->job_count; ++i) {
    if (work->jobs[i].arch == arch) return true;
  }
  if (work->job_count == UDM_MAX_ARCHS) return false;
  work->jobs[work->job_count++].arch = arch;
  return true;
}

/* Reads "sm_80,90"; false with a message when it is no such list. */
static bool parse_arch_list(prewarm *work, const char *list) {
  const char *text = list;
  for (;;) {
    const char *digits = strncmp(text, "sm_", 3) == 0 ? text + 3 : text;
    const size_t length = strspn(digits, "0123456789");
    const bool ends = digits[length] == ',' || digits[length] == '\0';
    if (length < 2 || length > 4 || !ends || !add_arch(work, (int32_t)atoi(digits))) {
      output_error("--arch: '%s' is not all, native or a list such as sm_80,sm_90", list);
      return false;
    }
    if (digits[length] == '\0') return true;
    text = digits + length + 1;
  }
}

/* What NVRTC can compile that runs on arch: itself, or the highest below it of its generation. */
static int32_t best_arch(const udm_nvrtc_info *nvrtc, int32_t arch) {
  int32_t best = arch; /* when nothing fits, udm_prewarm() says so */
  for (int32_t i = 0; i < nvrtc->arch_count; ++i) {
    const int32_t known = nvrtc->archs[i];
    if (known / 10 == arch / 10 && known <= arch) best = known;
  }
  return best;
}

/* The architectures of this machine's GPUs; returns how many GPUs there are. */
static int32_t add_native(prewarm *work) {
  udm_driver_info driver = {.struct_size = sizeof(driver)};
  if (udm_query_driver(&work->options, &driver) != UDM_OK) return 0;
  for (int32_t i = 0; i < driver.device_count; ++i) {
    udm_device_info device = {.struct_size = sizeof(device)};
    if (udm_query_device(&work->options, i, &device) != UDM_OK) return 0;
    add_arch(work, best_arch(&work->nvrtc, device.arch));
  }
  return driver.device_count;
}

static void add_all(prewarm *work) {
  for (int32_t i = 0; i < work->nvrtc.arch_count; ++i) add_arch(work, work->nvrtc.archs[i]);
}

/* Makes the list of jobs; kExitDone when there is something to do. */
static int choose_archs(prewarm *work) {
  const char *list = work->arch_list;
  const bool all = list && strcmp(list, "all") == 0;
  const bool native = list && strcmp(list, "native") == 0;
  if (list && !all && !native) return parse_arch_list(work, list) ? kExitDone : kExitUsage;
  if (!all && add_native(work) > 0) return kExitDone;
  if (native) {
    return output_fail(work->json,
                       "--arch native: no GPU is found on this machine; name the architectures, "
                       "for example --arch sm_90, or give --arch all");
  }
  add_all(work);
  return kExitDone;
}

static void *work_on_jobs(void *user_data) {
  prewarm *work = user_data;
  pthread_mutex_lock(&work->lock);
  while (work->next < work->job_count) {
    prewarm_job *job = &work->jobs[work->next++];
    pthread_mutex_unlock(&work->lock);
    job->result.struct_size = sizeof(job->result);
    job->status = udm_prewarm(&work->options, job->arch, work->flags, &job->result);
    if (job->status != UDM_OK) job->error = strdup(udm_last_error());
    pthread_mutex_lock(&work->lock);
    progress_update(&work->bar, ++work->done);
  }
  pthread_mutex_unlock(&work->lock);
  return NULL;
}

static void run_jobs(prewarm *work) {
  pthread_t threads[UDM_MAX_ARCHS];
  int64_t count = work->thread_count ? work->thread_count : sysconf(_SC_NPROCESSORS_ONLN);
  if (count > work->job_count) count = work->job_count;
  int64_t started = 0;
  progress_start(&work->bar, "prewarm", work->job_count);
  progress_update(&work->bar, 0);
  /* this thread is one of them, so that all is done even if no other can be started */
  while (started < count - 1 && pthread_create(&threads[started], NULL, work_on_jobs, work) == 0) {
    ++started;
  }
  work_on_jobs(work);
  for (int64_t i = 0; i < started; ++i) pthread_join(threads[i], NULL);
  progress_finish(&work->bar);
}

static const char *error_of(const prewarm_job *job) {
  return job->error ? job->error : udm_status_text(job->status);
}

static json_t *results_json(const prewarm *work) {
  json_t *compiled = json_array();
  json_t *cached = json_array();
  json_t *failed = json_array();
  for (int32_t i = 0; i < work->job_count; ++i) {
    const prewarm_job *job = &work->jobs[i];
    char arch[16];
    snprintf(arch, sizeof(arch), "sm_%d", job->arch);
    if (job->status != UDM_OK) {
      json_array_append_new(
          failed, json_pack("{s:s, s:o}", "arch", arch, "error", output_text(error_of(job))));
    } else if (job->result.compiled) {
      json_array_append_new(
          compiled,
          json_pack("{s:s, s:f, s:I, s:o}", "arch", arch, "ms", job->result.compile_ms, "bytes",
                    (json_int_t)job->result.bytes, "path", output_text(job->result.path)));
    } else {
      json_array_append_new(
          cached, json_pack("{s:s, s:o}", "arch", arch, "path", output_text(job->result.path)));
    }
  }
  char version[32];
  snprintf(version, sizeof(version), "%d.%d", work->nvrtc.version_major, work->nvrtc.version_minor);
  return json_pack("{s:{s:s, s:o}, s:o, s:o, s:o}", "nvrtc", "version", version, "path",
                   output_text(work->nvrtc.path), "compiled", compiled, "cached", cached, "failed",
                   failed);
}

static void print_results(const prewarm *work) {
  text_table table = TABLE_INIT;
  printf("NVRTC %d.%d, %s\n", work->nvrtc.version_major, work->nvrtc.version_minor,
         work->nvrtc.path);
  table_add(&table, "ARCH\tRESULT\tMS\tBYTES\tENTRY");
  for (int32_t i = 0; i < work->job_count; ++i) {
    const prewarm_job *job = &work->jobs[i];
    char bytes[32];
    output_bytes(bytes, sizeof(bytes), job->result.bytes);
    if (job->status != UDM_OK) {
      table_add(&table, "sm_%d\tfailed\t\t\t%s", job->arch, udm_status_text(job->status));
    } else if (job->result.compiled) {
      table_add(&table, "sm_%d\tcompiled\t%.0f\t%s\t%s", job->arch, job->result.compile_ms, bytes,
                job->result.path);
    } else {
      table_add(&table, "sm_%d\tcached\t\t%s\t%s", job->arch, bytes, job->result.path);
    }
  }
  table_print(&table, stdout, 0, "llrrl");
  table_free(&table);
}

static int report(const prewarm *work) {
  int code = kExitDone;
  if (!work->json) {
    print_results(work);
    fflush(stdout);
  }
  for (int32_t i = 0; i < work->job_count; ++i) {
    if (work->jobs[i].status == UDM_OK) continue;
    output_error("sm_%d: %s", work->jobs[i].arch, error_of(&work->jobs[i]));
    code = kExitCouldNot;
  }
  return work->json ? output_json(results_json(work), code) : code;
}

static int run(prewarm *work) {
  work->nvrtc.struct_size = sizeof(work->nvrtc);
  if (udm_query_nvrtc(&work->options, &work->nvrtc) != UDM_OK) {
    return output_fail(work->json, "%s", udm_last_error());
  }
  int code = choose_archs(work);
  if (code == kExitDone) {
    pthread_mutex_init(&work->lock, NULL);
    run_jobs(work);
    pthread_mutex_destroy(&work->lock);
    code = report(work);
  }
  for (int32_t i = 0; i < work->job_count; ++i) free(work->jobs[i].error);
  return code;
}

/* kExitDone: go on; *help: the help was asked for. */
static int parse(int argc, char **argv, prewarm *work, bool *help) {
  int option;
  while ((option = arguments_next(argc, argv, kOptions)) != -1) {
    switch (option) {
      case kArch:
        work->arch_list = optarg;
        break;
      case kJobs:
        if (!arguments_number("--jobs", optarg, 1, UDM_MAX_ARCHS, &work->thread_count)) {
          return kExitUsage;
        }
        break;
      case kForce:
        work->flags |= UDM_PREWARM_FORCE;
        break;
      case kCacheDir:
        work->options.cache_dir = optarg;
        break;
      case kJson:
        work->json = true;
        break;
      case kOptionHelp:
        *help = true;
        return kExitDone;
      default:
        return kExitUsage;
    }
  }
  return arguments_positional(argc, argv, 0, "") ? kExitDone : kExitUsage;
}

int prewarm_main(int argc, char **argv) {
  prewarm *work = calloc(1, sizeof(*work));
  if (!work) return output_fail(false, "out of memory");
  bool help = false;
  work->options = (udm_options)UDM_OPTIONS_INIT;
  work->options.log = output_log;
  int code = parse(argc, argv, work, &help);
  if (code == kExitDone && help) {
    fputs(kHelp, stdout);
  } else if (code == kExitDone) {
    code = run(work);
  }
  free(work);
  return code;
}
