/*
 * nvrtc.c: opens NVRTC and asks what it supports.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc/nvrtc.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/allocator.h"
#include "core/status.h"
#include "nvrtc/nvrtc_search.h"

enum requirement { OPTIONAL, REQUIRED };

struct symbol {
  enum requirement requirement;
  const char *name;
  size_t offset; /* where struct nvrtc keeps its pointer */
};

static const struct symbol symbols[] = {
#define SYMBOL(requirement, name) {requirement, #name, offsetof(struct nvrtc, name)},
    UDM_NVRTC_SYMBOLS(SYMBOL)
#undef SYMBOL
};

static udm_status resolve_symbols(struct nvrtc *nvrtc, struct error *error) {
  for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; ++i) {
    void *address = udm_symbol(nvrtc->library, &nvrtc->host, UDM_LIBRARY_NVRTC, symbols[i].name);
    if (!address && symbols[i].requirement == REQUIRED) {
      return udm_fail(error, UDM_ERROR_NO_NVRTC, "has no %s: NVRTC 11.2 or later is needed",
                      symbols[i].name);
    }
    memcpy((char *)nvrtc + symbols[i].offset, &address, sizeof address);
  }
  return UDM_OK;
}

udm_status udm_fail_nvrtc(const struct nvrtc *nvrtc, udm_status status, const char *call,
                          nvrtcResult result, struct error *error) {
  if (result == NVRTC_ERROR_OUT_OF_MEMORY) status = UDM_ERROR_OUT_OF_MEMORY;
  return udm_fail(error, status, "%s: %s (%u)", call, nvrtc->nvrtcGetErrorString(result),
                  (unsigned)result);
}

static int ascending(const void *a, const void *b) {
  const int x = *(const int *)a;
  const int y = *(const int *)b;
  return (x > y) - (x < y);
}

static udm_status ask_archs(struct nvrtc *nvrtc, struct error *error) {
  int count = 0;
  int *archs = NULL;
  udm_status status = UDM_OK;
  nvrtcResult result = nvrtc->nvrtcGetNumSupportedArchs(&count);
  if (result != NVRTC_SUCCESS || count <= 0) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_NO_NVRTC, "nvrtcGetNumSupportedArchs", result, error);
  }
  archs = udm_calloc((size_t)count, sizeof *archs);
  if (!archs)
    return udm_fail_memory(error, "the architectures of NVRTC", (size_t)count * sizeof *archs);
  result = nvrtc->nvrtcGetSupportedArchs(archs);
  if (result != NVRTC_SUCCESS) {
    status = udm_fail_nvrtc(nvrtc, UDM_ERROR_NO_NVRTC, "nvrtcGetSupportedArchs", result, error);
  } else {
    qsort(archs, (size_t)count, sizeof *archs, ascending);
    /* if there are more than the table holds, the oldest are left out */
    const int skipped = count > UDM_MAX_ARCHS ? count - UDM_MAX_ARCHS : 0;
    nvrtc->arch_count = count - skipped;
    memcpy(nvrtc->archs, archs + skipped, (size_t)nvrtc->arch_count * sizeof *archs);
  }
  udm_free(archs);
  return status;
}

/* Reads the build id, a note of the linker in the library. It distinguishes two builds of a
 * version.
 */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *user_data) {
  (void)size;
  struct nvrtc *nvrtc = user_data;
  if (!info->dlpi_name || strcmp(info->dlpi_name, nvrtc->path) != 0) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE) continue;
    const char *note = (const char *)(info->dlpi_addr + header->p_vaddr);
    const char *end = note + header->p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) fields;
      memcpy(&fields, note, sizeof fields);
      const char *owner = note + sizeof fields;
      const unsigned char *id = (const unsigned char *)owner + ((fields.n_namesz + 3u) & ~3u);
      const char *next = (const char *)id + ((fields.n_descsz + 3u) & ~3u);
      if (next > end) break;
      if (fields.n_type == NT_GNU_BUILD_ID && fields.n_namesz == 4 && !memcmp(owner, "GNU", 4)) {
        for (size_t b = 0; b < fields.n_descsz && 2 * b + 3 <= sizeof nvrtc->build; ++b) {
          snprintf(nvrtc->build + 2 * b, 3, "%02x", id[b]);
        }
        return 1;
      }
      note = next;
    }
  }
  return 1;
}

void udm_nvrtc_builtins(const struct nvrtc *nvrtc, char path[UDM_PATH_SIZE]) {
  char name[64];
  const char *slash = strrchr(nvrtc->path, '/');
  snprintf(name, sizeof name, "libnvrtc-builtins.so.%d.%d", nvrtc->version_major,
           nvrtc->version_minor);
  if (slash) {
    const int folder = (int)(slash - nvrtc->path);
    const int length = snprintf(path, UDM_PATH_SIZE, "%.*s/%s", folder, nvrtc->path, name);
    if (length < UDM_PATH_SIZE && access(path, F_OK) == 0) return;
  }
  udm_library_file(name, path);
}

/* If there are none, NVRTC itself says so: it may not need them. */
static udm_status check_builtins(const struct nvrtc *nvrtc, struct error *error) {
  char path[UDM_PATH_SIZE];
  udm_nvrtc_builtins(nvrtc, path);
  return udm_library_file_check(path, error);
}

static udm_status identify(struct nvrtc *nvrtc, struct error *error) {
  const nvrtcResult result = nvrtc->nvrtcVersion(&nvrtc->version_major, &nvrtc->version_minor);
  if (result != NVRTC_SUCCESS) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_NO_NVRTC, "nvrtcVersion", result, error);
  }
  struct link_map *map = NULL;
  if (!nvrtc->library) {
    udm_symbol_path(udm_symbol(NULL, &nvrtc->host, UDM_LIBRARY_NVRTC, "nvrtcVersion"), nvrtc->path);
  } else if (dlinfo(nvrtc->library, RTLD_DI_LINKMAP, &map) == 0 && map->l_name) {
    snprintf(nvrtc->path, sizeof nvrtc->path, "%s", map->l_name);
  }
  if (nvrtc->path[0]) dl_iterate_phdr(find_build_id, nvrtc);
  const udm_status status = check_builtins(nvrtc, error);
  return status == UDM_OK ? ask_archs(nvrtc, error) : status;
}

/*
 * dlerror() says "library: what failed: errno's text" in the language of the process, as
 * strerror_r() does. If the library is broken, the message begins with its path; if it needs a
 * library that is missing, with that one's name.
 */
static bool does_not_exist(const char *library, const char *reason) {
  char buffer[UDM_ERRNO_TEXT_SIZE];
  const char *no_file = udm_errno_text(ENOENT, buffer);
  const size_t named = strlen(library);
  const size_t length = strlen(reason);
  const size_t ending = strlen(no_file);
  return length >= named + ending && strncmp(reason, library, named) == 0 && reason[named] == ':' &&
         strcmp(reason + length - ending, no_file) == 0;
}

udm_status udm_nvrtc_open_candidate(const char *library, bool already_loaded, struct nvrtc *nvrtc,
                                    struct error *error) {
  udm_status status = UDM_OK;
  memset(nvrtc, 0, sizeof *nvrtc);
  if (!already_loaded) {
    udm_library_file(library, nvrtc->path);
    status = udm_library_file_check(nvrtc->path, error);
    if (status != UDM_OK) return status;
  }
  const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | (already_loaded ? RTLD_NOLOAD : 0);
  nvrtc->library = dlopen(library, flags);
  if (!nvrtc->library) {
    const char *reason = dlerror(); /* this call also clears it */
    const bool missing = already_loaded || (reason && does_not_exist(library, reason));
    const size_t named = strlen(library); /* the caller names the library, too */
    const bool repeats =
        reason && strncmp(reason, library, named) == 0 && strncmp(reason + named, ": ", 2) == 0;
    return udm_fail(error, missing ? UDM_ERROR_NOT_FOUND : UDM_ERROR_NO_NVRTC, "%s%s",
                    repeats  ? reason + named + 2
                    : reason ? reason
                             : "dlopen failed",
                    missing ? "" : ": install its package again, or remove the file");
  }
  status = resolve_symbols(nvrtc, error);
  if (status == UDM_OK) status = identify(nvrtc, error);
  if (status != UDM_OK) {
    dlclose(nvrtc->library);
    nvrtc->library = NULL;
  }
  return status;
}

struct opening {
  const struct settings *settings;
  struct library_files *seen;
  struct nvrtc *nvrtc;
  char tried[UDM_MESSAGE_SIZE / 4]; /* each candidate that exists, and why it cannot be used */
  bool no_memory;                   /* to look at a candidate: the search ends */
};

/* A name that does not exist is reported only if the user gave it. */
static bool try_candidate(void *user_data, const char *library, bool already_loaded) {
  struct opening *opening = user_data;
  struct nvrtc *nvrtc = opening->nvrtc;
  const bool given = opening->settings->nvrtc_library != NULL;
  char text[UDM_MESSAGE_SIZE / 8] = "";
  struct error reason = {text, sizeof text};
  const udm_status status = udm_nvrtc_open_candidate(library, already_loaded, nvrtc, &reason);
  if (status == UDM_ERROR_NOT_FOUND && !given) return false;
  const bool is_new = udm_library_files_add(opening->seen, nvrtc->path);
  opening->no_memory = status == UDM_ERROR_OUT_OF_MEMORY;
  if (status == UDM_OK && is_new) return true;
  udm_nvrtc_close(nvrtc);
  if (!is_new) return false;
  udm_append(opening->tried, sizeof opening->tried, "\n  %s: %s", library, text);
  udm_log(opening->settings, given ? UDM_LOG_DEBUG : UDM_LOG_WARNING,
          "the NVRTC %s is passed over: %s", library, text);
  return opening->no_memory;
}

/* Opens the first usable NVRTC that is not in *seen, and adds those that it looks at. */
static udm_status open_next(const struct settings *settings, struct library_files *seen,
                            struct nvrtc *nvrtc, struct error *error) {
  struct opening opening = {settings, seen, nvrtc, "", false};
  memset(nvrtc, 0, sizeof *nvrtc);
  udm_nvrtc_search(settings, try_candidate, &opening);
  if (opening.no_memory) {
    return udm_fail(error, UDM_ERROR_OUT_OF_MEMORY, "NVRTC cannot be opened:%s", opening.tried);
  }
  if (!nvrtc->library) {
    return udm_fail(
        error, UDM_ERROR_NO_NVRTC, "NVRTC was not found%s%s. %s", *opening.tried ? "; tried:" : "",
        opening.tried,
        settings->nvrtc_library
            ? "Correct the path given in the options or in UDM_NVRTC_LIBRARY"
            : "Install a CUDA toolkit, or the wheel nvidia-cuda-nvrtc (for CUDA 12, and for sm_70: "
              "nvidia-cuda-nvrtc-cu12) in the active virtual environment, or name the library in "
              "UDM_NVRTC_LIBRARY");
  }
  nvrtc->seen = *seen;
  udm_log(settings, UDM_LOG_DEBUG, "NVRTC %d.%d: %s", nvrtc->version_major, nvrtc->version_minor,
          nvrtc->path);
  return UDM_OK;
}

udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc,
                          struct error *error) {
  struct library_files seen = {0};
  if (!udm_host_has(&settings->host, UDM_LIBRARY_NVRTC, "nvrtcVersion")) {
    return open_next(settings, &seen, nvrtc, error);
  }
  memset(nvrtc, 0, sizeof *nvrtc);
  nvrtc->host = settings->host;
  const udm_status status = resolve_symbols(nvrtc, error);
  return status == UDM_OK ? identify(nvrtc, error) : status;
}

void udm_nvrtc_close(struct nvrtc *nvrtc) {
  if (nvrtc->library) dlclose(nvrtc->library);
  memset(nvrtc, 0, sizeof *nvrtc);
}

bool udm_nvrtc_replace(const struct settings *settings, int32_t arch, const char *reason,
                       struct nvrtc *nvrtc) {
  bool found = false;
  if (!nvrtc->library) return false; /* the host's: no other is looked for */
  struct library_files seen = nvrtc->seen;
  struct nvrtc *next = udm_calloc(1, sizeof *next);
  while (next && !found && open_next(settings, &seen, next, NULL) == UDM_OK) {
    found = udm_nvrtc_arch_below(next, arch, arch) == arch;
    if (!found) udm_nvrtc_close(next);
  }
  if (found) {
    udm_log(settings, UDM_LOG_WARNING,
            "the NVRTC %s is passed over for %s: %s: install its package again, or remove it",
            nvrtc->path, next->path, reason);
    udm_nvrtc_close(nvrtc);
    *nvrtc = *next;
  }
  udm_free(next);
  return found;
}

const char *udm_nvrtc_package(int32_t arch) {
  enum { LOWEST_OF_CUDA_13 = 75 };
  return arch < LOWEST_OF_CUDA_13 ? "nvidia-cuda-nvrtc-cu12" : "nvidia-cuda-nvrtc";
}

int udm_nvrtc_arch_below(const struct nvrtc *nvrtc, int32_t lowest, int32_t highest) {
  int found = 0;
  for (int i = 0; i < nvrtc->arch_count; ++i) {
    if (nvrtc->archs[i] >= lowest && nvrtc->archs[i] <= highest) found = nvrtc->archs[i];
  }
  return found;
}
