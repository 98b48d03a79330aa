/*
 * image_fixture.c: the machine of a test, by the variables of both fakes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image_fixture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporary_folder.h"

static void keep_line(void *user_data, udm_log_level level, const char *message) {
  struct image_fixture *l = user_data;
  const size_t used = strlen(l->log);
  l->warnings += level == UDM_LOG_WARNING;
  snprintf(l->log + used, sizeof l->log - used, "%s\n", message);
}

static void set_or_unset(const char *variable, const char *value) {
  if (value) {
    setenv(variable, value, 1);
  } else {
    unsetenv(variable);
  }
}

void machine_set(struct image_fixture *l, const struct machine *m) {
  set_or_unset("UDM_FAKE_CUDA_VERSION", m->driver_version);
  set_or_unset("UDM_FAKE_CUDA_MISSING", m->driver_lacks);
  set_or_unset("UDM_FAKE_CUDA_FAIL", m->driver_fails);
  set_or_unset("UDM_FAKE_NVRTC_VERSION", m->nvrtc);
  set_or_unset("UDM_FAKE_NVRTC_ARCHS", m->nvrtc_archs);
  set_or_unset("UDM_FAKE_NVRTC_FAIL", m->nvrtc_fails);
  /* NULL: the library that CTest names */
  l->options.nvrtc_library = m->nvrtc ? NULL : "/nonexistent/libnvrtc.so";
  l->log[0] = '\0';
  l->warnings = 0;
  l->reset_calls();
  l->reset_nvrtc_calls();
}

/* POSIX lets a function's address travel as void *; ISO C has no cast for it. */
static void find(const char *name, void *function) {
  void *address = NULL;
  if (udm_driver_symbol(NULL, name, &address) != UDM_OK) fail_msg("%s", udm_last_error());
  memcpy(function, &address, sizeof address);
}

static void find_in_nvrtc(const char *name, void *function) {
  const char *library = getenv("UDM_NVRTC_LIBRARY");
  void *address = NULL;
  void *handle = library ? dlopen(library, RTLD_NOW | RTLD_NODELETE) : NULL;
  if (handle) {
    address = dlsym(handle, name);
    dlclose(handle);
  }
  if (!address) fail_msg("UDM_NVRTC_LIBRARY is not the fake: %s", library);
  memcpy(function, &address, sizeof address);
}

int image_fixture_open(void **state) {
  static const udm_options defaults = UDM_OPTIONS_INIT;
  static const struct machine plain;
  struct image_fixture *l = calloc(1, sizeof *l);
  void *folder = NULL;
  if (!l || make_temporary_folder(&folder) != 0) {
    free(l);
    return -1;
  }
  *state = l;
  l->folder = folder;
  l->options = defaults;
  l->options.cache_dir = folder;
  l->options.log = keep_line;
  l->options.log_user_data = l;
  find("fake_cuda_calls", &l->calls);
  find("fake_cuda_reset_calls", &l->reset_calls);
  find("fake_cuda_live_code", &l->live_code);
  find_in_nvrtc("fake_nvrtc_calls", &l->nvrtc_calls);
  find_in_nvrtc("fake_nvrtc_reset_calls", &l->reset_nvrtc_calls);
  machine_set(l, &plain);
  if (cuda_driver_open(NULL, &l->driver) != UDM_OK) fail_msg("%s", udm_last_error());
  return 0;
}

int image_fixture_close(void **state) {
  struct image_fixture *l = *state;
  static const struct machine plain;
  void *folder = l->folder;
  machine_set(l, &plain);
  const int result = remove_temporary_folder(&folder);
  free(l);
  return result;
}

int device_of(int arch) {
  const char *rest = FIXTURE_DEVICES;
  for (int ordinal = 0;; ++ordinal) {
    int major = 0;
    int minor = 0;
    assert_int_equal(sscanf(rest, "%d.%d", &major, &minor), 2);
    if (10 * major + minor == arch) return ordinal;
    rest = strchr(rest, ',');
    assert_non_null(rest);
    ++rest;
  }
}

CUcontext context_open(struct image_fixture *l, int arch) {
  CUcontext context = NULL;
  assert_int_equal(l->driver.cuCtxCreate_v2(&context, 0, device_of(arch)), CUDA_SUCCESS);
  return context;
}

void context_close(struct image_fixture *l, CUcontext context) {
  assert_int_equal(l->driver.cuCtxDestroy_v2(context), CUDA_SUCCESS);
}

udm_status create_once(struct image_fixture *l, int arch, udm_context_info *info) {
  const udm_context_info empty = UDM_CONTEXT_INFO_INIT;
  udm_context *udm = NULL;
  CUcontext context = context_open(l, arch);
  *info = empty;
  l->reset_calls();
  l->reset_nvrtc_calls();
  const udm_status status = udm_create(&l->options, &udm);
  if (status == UDM_OK) {
    assert_int_equal(udm_get_context_info(udm, info), UDM_OK);
    assert_int_equal(info->device_arch, arch);
    snprintf(l->producer, sizeof l->producer, "%s", info->image_producer);
    info->image_producer = l->producer; /* the context's own goes with it */
  } else {
    assert_null(udm);
  }
  udm_destroy(udm);
  l->left_behind = l->live_code();
  context_close(l, context);
  return status;
}
