/*
 * prewarm.c: udm prewarm: compile the kernel into the cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache_dirs.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "numbers/clock.h"
#include "prewarm.h"

static const char help_text[] =
    "usage: udm prewarm [OPTION...]\n"
    "\n"
    "Compiles the kernel into the cache, so that no server has to. Needs NVRTC, but neither\n"
    "a GPU nor a driver. Skips every architecture that has a good entry in the cache.\n"
    "If this machine has several NVRTCs, udm compiles with the newest one that knows the\n"
    "architecture.\n"
    "\n"
    "  --arch LIST       architectures, such as sm_80,sm_90; all: every architecture from sm_70\n"
    "                    up that an NVRTC here knows; native: this machine's GPUs\n"
    "                    (default native, or all without a GPU)\n"
    "  --for-driver VER  CUDA versions of the drivers that will load the images, such as\n"
    "                    12.8,13.0: per architecture one entry for each, made by the newest\n"
    "                    NVRTC here whose CUDA is of the driver's major version or older\n"
    "                    (default: this machine's driver with --arch native, else any driver)\n"
    "  --jobs N          parallel compiles (default: one per processor)\n"
    "  --force           compile even if the cache has the entry\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            print one JSON object\n"
    "\n"
    "examples\n"
    "  udm prewarm\n"
    "  udm prewarm --arch sm_80,sm_90,sm_100 --cache-dir /opt/udm-cache    an image build\n"
    "  udm prewarm --arch sm_90 --for-driver 12.8,13.0    a fleet with two generations of drivers\n"
    "  UDM_CACHE_PATH=/opt/udm-cache UDM_NO_COMPILE=strict serve           then in production\n";

enum { ARCH = OPTION_FIRST, FOR_DRIVER, JOBS, FORCE, CACHE_DIR, JSON };

static const struct option long_options[] = {
    {"arch", required_argument, NULL, ARCH},
    {"for-driver", required_argument, NULL, FOR_DRIVER},
    {"jobs", required_argument, NULL, JOBS},
    {"force", no_argument, NULL, FORCE},
    {"cache-dir", required_argument, NULL, CACHE_DIR},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool add_arch(struct prewarm *work, int32_t arch) {
  for (int32_t i = 0; i < work->arch_count; ++i) {
    if (work->archs[i] == arch) return true;
  }
  if (work->arch_count == UDM_MAX_ARCHS) return false;
  work->archs[work->arch_count++] = arch;
  return true;
}

/* Reads "sm_80,90". If list is none, prints a message and returns false. */
static bool parse_arch_list(struct prewarm *work, const char *list) {
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

/* Reads "12.8,13.0". If list is none, prints a message and returns false. */
static bool parse_driver_list(struct prewarm *work, const char *list) {
  const char *text = list;
  char digit[2] = "";
  for (;;) {
    int major = 0;
    int minor = 0;
    int length = 0;
    int more = 0;
    const bool read =
        text[0] >= '1' && text[0] <= '9' && sscanf(text, "%2d%n", &major, &length) == 1;
    if (read && sscanf(text + length, ".%1[0-9]%n", digit, &more) == 1) minor = digit[0] - '0';
    length += more;
    const bool ends = read && (text[length] == ',' || text[length] == '\0');
    if (!ends || work->driver_count == MOST_DRIVERS) {
      output_error("--for-driver: '%s' is not a list of up to %d CUDA versions such as 12.8,13.0",
                   list, MOST_DRIVERS);
      return false;
    }
    work->drivers[work->driver_count++] = 1000 * major + 10 * minor;
    if (text[length] == '\0') return true;
    text += length + 1;
  }
}

/*
 * The highest architecture that runs on arch (same generation, not above it) and that an NVRTC up
 * to this CUDA major version knows.
 */
static int32_t best_arch(const struct prewarm *work, int32_t arch, int32_t newest_major) {
  for (int32_t known = arch; known >= arch / 10 * 10; --known) {
    if (nvrtc_list_newest(&work->nvrtcs, known, newest_major)) return known;
  }
  return arch; /* udm_prewarm() will report that no NVRTC knows it */
}

/* Adds the architectures of this machine's GPUs. Returns the number of GPUs. */
static int32_t add_native(struct prewarm *work) {
  udm_driver_info driver = {.struct_size = sizeof driver};
  if (udm_query_driver(&work->options, &driver) != UDM_OK) return 0;
  for (int32_t i = 0; i < driver.device_count; ++i) {
    udm_device_info device = {.struct_size = sizeof device};
    if (udm_query_device(&work->options, i, &device) != UDM_OK) return 0;
    add_arch(work, best_arch(work, device.arch, driver.version / 1000));
  }
  if (driver.device_count > 0 && work->driver_count == 0) {
    work->drivers[work->driver_count++] = driver.version;
  }
  return driver.device_count;
}

static int by_arch(const void *a, const void *b) {
  return *(const int32_t *)a - *(const int32_t *)b;
}

/* Adds every architecture that an NVRTC knows, except those too old for the kernel. */
static void add_all(struct prewarm *work) {
  for (int32_t n = 0; n < work->nvrtcs.count; ++n) {
    const udm_nvrtc_info *info = &work->nvrtcs.items[n].info;
    for (int32_t i = 0; i < info->arch_count; ++i) {
      if (info->archs[i] >= LOWEST_ARCH) add_arch(work, info->archs[i]);
    }
  }
  qsort(work->archs, (size_t)work->arch_count, sizeof work->archs[0], by_arch);
}

/* Returns EXIT_DONE, or another exit code after a message. */
static int choose_archs(struct prewarm *work) {
  const char *list = work->arch_list;
  const bool all = list && strcmp(list, "all") == 0;
  const bool native = list && strcmp(list, "native") == 0;
  if (list && !all && !native) return parse_arch_list(work, list) ? EXIT_DONE : EXIT_USAGE;
  if (!all && add_native(work) > 0) return EXIT_DONE;
  if (native) {
    return output_fail(work->json,
                       "--arch native: udm finds no GPU on this machine; name the architectures, "
                       "for example --arch sm_90, or use --arch all");
  }
  add_all(work);
  return EXIT_DONE;
}

static void fail_evicted(struct prewarm *work) {
  for (int32_t i = 0; i < work->job_count; ++i) {
    struct prewarm_job *job = &work->jobs[i];
    if (job->status != UDM_OK || !entry_is_evicted(job->result.path)) continue;
    job->status = UDM_ERROR_CACHE;
    job->error = strdup(evicted_text);
  }
}

static int fail_no_nvrtc(struct prewarm *work) {
  udm_nvrtc_info info = {.struct_size = sizeof info};
  const struct nvrtc_found *one = nvrtc_list_killer(&work->nvrtcs);
  /* the library's message says where udm looked */
  if (!one && udm_query_nvrtc(&work->options, &info) != UDM_OK) {
    return output_fail(work->json, "%s", udm_last_error());
  }
  if (!one) one = work->nvrtcs.items;
  return output_fail(work->json, "no NVRTC can be used: %s: %s", one ? one->library : "the host's",
                     one ? one->reason : "it cannot be listed");
}

static int run(struct prewarm *work) {
  interrupt_watch();
  if (nvrtc_list_make(&work->options, &work->nvrtcs) != UDM_OK) {
    return output_fail(work->json, "%s", udm_last_error());
  }
  if (interrupted()) return output_fail(work->json, "interrupted before anything was compiled");
  if (!nvrtc_list_first(&work->nvrtcs)) return fail_no_nvrtc(work);
  for (int32_t i = 0; i < work->nvrtcs.count; ++i) {
    const struct nvrtc_found *found = &work->nvrtcs.items[i];
    if (nvrtc_is_usable(found)) continue;
    output_error("warning: the NVRTC %s is passed over: %s", found->library, found->reason);
  }
  int code = choose_archs(work);
  if (code == EXIT_DONE) {
    prewarm_make_jobs(work);
    prewarm_run_jobs(work);
    fail_evicted(work);
    code = prewarm_report(work);
  }
  return code;
}

/* Reads the command line. Returns EXIT_DONE, or EXIT_USAGE after a message. */
static int parse(int argc, char **argv, struct prewarm *work, bool *help) {
  int option;
  while ((option = arguments_next(argc, argv, long_options)) != -1) {
    switch (option) {
      case ARCH:
        work->arch_list = optarg;
        break;
      case FOR_DRIVER:
        if (!parse_driver_list(work, optarg)) return EXIT_USAGE;
        break;
      case JOBS:
        if (!arguments_number("--jobs", optarg, 1, UDM_MAX_ARCHS, &work->thread_count)) {
          return EXIT_USAGE;
        }
        break;
      case FORCE:
        work->flags |= UDM_PREWARM_FORCE;
        break;
      case CACHE_DIR:
        work->options.cache_dir = optarg;
        break;
      case JSON:
        work->json = true;
        break;
      case OPTION_HELP:
        *help = true;
        return EXIT_DONE;
      default:
        return EXIT_USAGE;
    }
  }
  return arguments_positional(argc, argv, 0, "") ? EXIT_DONE : EXIT_USAGE;
}

int prewarm_main(int argc, char **argv) {
  static struct prewarm work; /* static: after a signal, threads may still use it at the end */
  bool help = false;
  work.options = (udm_options)UDM_OPTIONS_INIT;
  work.options.log = output_log;
  int code = parse(argc, argv, &work, &help);
  if (code == EXIT_DONE && help) {
    fputs(help_text, stdout);
  } else if (code == EXIT_DONE) {
    code = run(&work);
  }
  if (work.abandoned) return code;
  for (int32_t i = 0; i < work.job_count; ++i) free(work.jobs[i].error);
  nvrtc_list_free(&work.nvrtcs);
  return code;
}
