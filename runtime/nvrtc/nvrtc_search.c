/*
 * nvrtc_search.c: the places where udm looks for NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc/nvrtc_search.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The majors whose default names are tried, future ones included: the names follow a
 * scheme, and a name that does not exist costs microseconds.
 */
enum { NEWEST_MAJOR = 19, OLDEST_MAJOR = 12 };

struct search {
  nvrtc_candidate_callback callback;
  void *user_data;
};

static bool try_default_names(const struct search *search, bool already_loaded) {
  for (int major = NEWEST_MAJOR; major >= OLDEST_MAJOR; --major) {
    char name[32];
    snprintf(name, sizeof name, "libnvrtc.so.%d", major);
    if (search->callback(search->user_data, name, already_loaded)) return true;
  }
  /* the name in CUDA 11.2 to 11.8 */
  if (search->callback(search->user_data, "libnvrtc.so.11.2", already_loaded)) return true;
  return search->callback(search->user_data, "libnvrtc.so", already_loaded);
}

static int newest_first(const void *a, const void *b) {
  return strverscmp(*(char *const *)b, *(char *const *)a);
}

static bool try_pattern(const struct search *search, const char *pattern) {
  glob_t found;
  bool stop = false;
  if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) return false;
  qsort(found.gl_pathv, found.gl_pathc, sizeof found.gl_pathv[0], newest_first);
  for (size_t i = 0; i < found.gl_pathc && !stop; ++i) {
    stop = search->callback(search->user_data, found.gl_pathv[i], false);
  }
  globfree(&found);
  return stop;
}

/*
 * Makes the pattern of the libraries in a folder below `root`, a path of the environment that
 * matches only itself: "my[venv]" is a name. Returns false if the pattern is too long.
 */
static bool make_pattern(const char *root, const char *folder, char pattern[UDM_PATH_SIZE]) {
  size_t used = 0;
  for (; *root && used + 2 < UDM_PATH_SIZE; ++root) {
    if (strchr("*?[\\", *root)) pattern[used++] = '\\';
    pattern[used++] = *root;
  }
  if (*root) return false;
  const int rest = snprintf(pattern + used, UDM_PATH_SIZE - used, "/%s/libnvrtc.so*", folder);
  return rest >= 0 && (size_t)rest < UDM_PATH_SIZE - used;
}

static bool try_folder(const struct search *search, const char *root, const char *folder) {
  char pattern[UDM_PATH_SIZE];
  return root && make_pattern(root, folder, pattern) && try_pattern(search, pattern);
}

static bool try_toolkit(const struct search *search, const char *root) {
  return try_folder(search, root, "lib64") || try_folder(search, root, "targets/*/lib");
}

/* The folders of the wheels nvidia-cuda-nvrtc (13 and later), nvidia-cuda-nvrtc-cu12 and -cu11. */
static bool try_wheels(const struct search *search, const char *root) {
  return try_folder(search, root, "lib/python3*/site-packages/nvidia/cu[0-9]*/lib") ||
         try_folder(search, root, "lib/python3*/site-packages/nvidia/cuda_nvrtc/lib");
}

void udm_nvrtc_search(const struct settings *settings, nvrtc_candidate_callback callback,
                      void *user_data) {
  const struct search search = {callback, user_data};
  if (settings->nvrtc_library) {
    callback(user_data, settings->nvrtc_library, false);
    return;
  }
  const char *conda = udm_environment("CONDA_PREFIX");
  if (try_default_names(&search, true) || try_default_names(&search, false) ||
      try_toolkit(&search, udm_environment("CUDA_HOME")) ||
      try_toolkit(&search, udm_environment("CUDA_PATH")) ||
      try_pattern(&search, "/usr/local/cuda/lib64/libnvrtc.so*") ||
      try_pattern(&search, "/usr/local/cuda*/lib64/libnvrtc.so*") ||
      try_pattern(&search, "/usr/local/cuda*/targets/*/lib/libnvrtc.so*") ||
      try_wheels(&search, udm_environment("VIRTUAL_ENV")) || try_wheels(&search, conda)) {
    return;
  }
  try_folder(&search, conda, "lib");
}
