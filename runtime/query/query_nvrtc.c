/*
 * query_nvrtc.c: the public functions that look for NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/struct_size.h"
#include "nvrtc/nvrtc.h"
#include "nvrtc/nvrtc_search.h"

static void describe(const struct nvrtc *nvrtc, udm_nvrtc_info *info) {
  info->version_major = nvrtc->version_major;
  info->version_minor = nvrtc->version_minor;
  info->arch_count = nvrtc->arch_count;
  memcpy(info->archs, nvrtc->archs, sizeof info->archs);
  memcpy(info->path, nvrtc->path, sizeof info->path);
}

udm_status udm_query_nvrtc(const udm_options *options, udm_nvrtc_info *info) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  struct nvrtc *nvrtc = NULL; /* too large for a stack frame */
  udm_nvrtc_info full = {.struct_size = sizeof full};
  udm_status status = udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_nvrtc_info, path), error);
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  nvrtc = udm_calloc(1, sizeof *nvrtc);
  if (!nvrtc) return udm_fail_memory(error, "NVRTC's functions", sizeof *nvrtc);
  status = udm_nvrtc_open(&settings, nvrtc, error);
  if (status == UDM_OK) {
    describe(nvrtc, &full);
    udm_nvrtc_close(nvrtc);
    udm_fill_struct(info, &full, sizeof full);
  }
  udm_free(nvrtc);
  return status;
}

/* What udm_nvrtc_enumerate() works with: too large for a stack frame. */
struct enumeration {
  const struct settings *settings;
  udm_nvrtc_callback callback;
  void *user_data;
  struct nvrtc nvrtc;
  udm_nvrtc_info info;
  struct library_files files; /* those so far */
};

static bool report(const struct enumeration *all, const udm_nvrtc_candidate *candidate) {
  const struct host_allocator ours = udm_allocator_in_use();
  const bool stop = all->callback(all->user_data, candidate) != 0;
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  return stop;
}

/* The host's own NVRTC is the only candidate: no other would be used. */
static void report_host(struct enumeration *all) {
  struct nvrtc *nvrtc = &all->nvrtc;
  udm_nvrtc_info *info = &all->info;
  udm_nvrtc_candidate candidate = {sizeof candidate, "", "", NULL};
  char text[UDM_MESSAGE_SIZE / 8] = "";
  struct error reason = {text, sizeof text};
  info->struct_size = sizeof *info;
  if (udm_nvrtc_open(all->settings, nvrtc, &reason) == UDM_OK) {
    describe(nvrtc, info);
    candidate.library = info->path;
    candidate.nvrtc = info;
  } else {
    candidate.reason = text;
  }
  report(all, &candidate);
  udm_nvrtc_close(nvrtc);
}

static bool report_candidate(void *user_data, const char *library, bool already_loaded) {
  struct enumeration *all = user_data;
  struct nvrtc *nvrtc = &all->nvrtc;
  udm_nvrtc_info *info = &all->info;
  udm_nvrtc_candidate candidate = {sizeof candidate, library, "", NULL};
  char text[UDM_MESSAGE_SIZE / 8] = "";
  struct error reason = {text, sizeof text};
  memset(info, 0, sizeof *info);
  info->struct_size = sizeof *info;
  const udm_status status = udm_nvrtc_open_candidate(library, already_loaded, nvrtc, &reason);
  if (status == UDM_ERROR_NOT_FOUND && !all->settings->nvrtc_library) return false;
  if (!udm_library_files_add(&all->files, nvrtc->path)) {
    udm_nvrtc_close(nvrtc);
    return false;
  }
  if (status == UDM_OK) {
    describe(nvrtc, info);
    candidate.nvrtc = info;
  } else {
    candidate.reason = text;
  }
  const bool stop = report(all, &candidate);
  udm_nvrtc_close(nvrtc);
  return stop;
}

/* Reports a candidate by its file. Only one that the process has loaded already is opened. */
static bool report_file(void *user_data, const char *library, bool already_loaded) {
  struct enumeration *all = user_data;
  struct nvrtc *nvrtc = &all->nvrtc;
  udm_nvrtc_candidate candidate = {sizeof candidate, nvrtc->path, "", NULL};
  char text[UDM_MESSAGE_SIZE / 8] = "";
  struct error reason = {text, sizeof text};
  if (already_loaded) {
    if (udm_nvrtc_open_candidate(library, true, nvrtc, NULL) == UDM_OK) {
      dlclose(nvrtc->library);
      nvrtc->library = NULL;
    }
  } else {
    udm_library_file(library, nvrtc->path);
  }
  if (!nvrtc->path[0]) {
    if (!all->settings->nvrtc_library) return false;
    candidate.library = library;
  }
  if (!udm_library_files_add(&all->files, candidate.library)) return false;
  if (udm_library_file_check(candidate.library, &reason) != UDM_OK) candidate.reason = text;
  return report(all, &candidate);
}

/* Calls visit for each candidate of the search, or visit_host if the host provides NVRTC. */
static udm_status search(const udm_options *options, udm_nvrtc_callback callback, void *user_data,
                         nvrtc_candidate_callback visit, void (*visit_host)(struct enumeration *),
                         struct error *error) {
  struct settings settings;
  if (!callback) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "callback is null");
  const udm_status status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  struct enumeration *all = udm_calloc(1, sizeof *all);
  if (!all) return udm_fail_memory(error, "a search for NVRTC", sizeof *all);
  all->settings = &settings;
  all->callback = callback;
  all->user_data = user_data;
  if (udm_host_has(&settings.host, UDM_LIBRARY_NVRTC, "nvrtcVersion")) {
    visit_host(all);
  } else {
    udm_nvrtc_search(&settings, visit, all);
  }
  udm_free(all);
  return UDM_OK;
}

static void report_host_file(struct enumeration *all) {
  udm_nvrtc_candidate candidate = {sizeof candidate, all->nvrtc.path, "", NULL};
  udm_symbol_path(udm_symbol(NULL, &all->settings->host, UDM_LIBRARY_NVRTC, "nvrtcVersion"),
                  all->nvrtc.path);
  report(all, &candidate);
}

udm_status udm_nvrtc_find(const udm_options *options, udm_nvrtc_callback callback,
                          void *user_data) {
  return search(options, callback, user_data, report_file, report_host_file, udm_thread_error());
}

udm_status udm_nvrtc_enumerate(const udm_options *options, udm_nvrtc_callback callback,
                               void *user_data) {
  return search(options, callback, user_data, report_candidate, report_host, udm_thread_error());
}
