/*
 * driver.c: opens libcuda, fills the table of its functions, words its errors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver/driver.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/status.h"

#define DEFAULT_DRIVER_LIBRARY "libcuda.so.1"

const char *udm_driver_library_name(const struct settings *settings) {
  return settings->driver_library ? settings->driver_library : DEFAULT_DRIVER_LIBRARY;
}

enum requirement { OPTIONAL, REQUIRED };

struct symbol {
  const char *name;
  size_t offset; /* where struct driver keeps its pointer */
  enum requirement requirement;
  int version;
};

static const struct symbol symbols[] = {
#define SYMBOL(requirement, name) \
  {#name, offsetof(struct driver, name), requirement, name##_version},
    UDM_DRIVER_SYMBOLS(SYMBOL)
#undef SYMBOL
};

/* cuGetProcAddress takes "cuMemAlloc" for cuMemAlloc_v2: the CUDA version selects the variant. */
static void base_name(const char *exported, char base[64]) {
  const char *suffix = strstr(exported, "_v");
  snprintf(base, 64, "%.*s", suffix ? (int)(suffix - exported) : 63, exported);
}

/* A host provides functions under their exported names alone. */
static void *find_exported(const struct driver *driver, const char *name) {
  return udm_symbol(driver->library, &driver->host, UDM_LIBRARY_DRIVER, name);
}

/* A symbol that the driver's own lookup does not find is not looked up with dlsym. */
static void *find_symbol(const struct driver *driver, const struct symbol *symbol) {
  char base[64];
  void *address = NULL;
  CUresult result = CUDA_SUCCESS;
  CUdriverProcAddressQueryResult found = 0;
  if (!driver->library) return find_exported(driver, symbol->name);
  base_name(symbol->name, base);
  if (driver->cuGetProcAddress_v2) {
    result = driver->cuGetProcAddress_v2(base, &address, symbol->version,
                                         CU_GET_PROC_ADDRESS_DEFAULT, &found);
  } else if (driver->cuGetProcAddress) {
    result = driver->cuGetProcAddress(base, &address, symbol->version, CU_GET_PROC_ADDRESS_DEFAULT);
  } else {
    address = find_exported(driver, symbol->name);
  }
  return result == CUDA_SUCCESS ? address : NULL;
}

/* POSIX allows a function's address in a void *, but ISO C has no cast for it. */
static void set_symbol(struct driver *driver, size_t offset, void *address) {
  memcpy((char *)driver + offset, &address, sizeof address);
}

static udm_status resolve_symbols(const struct settings *settings, struct driver *driver,
                                  struct error *error) {
  void *const newest = find_exported(driver, "cuGetProcAddress_v2");
  void *const first = find_exported(driver, "cuGetProcAddress");
  set_symbol(driver, offsetof(struct driver, cuGetProcAddress_v2), newest);
  set_symbol(driver, offsetof(struct driver, cuGetProcAddress), first);
  enum { LOOKUPS = 2 }; /* the two set above */
  for (size_t i = LOOKUPS; i < sizeof symbols / sizeof symbols[0]; ++i) {
    void *address = find_symbol(driver, &symbols[i]);
    if (!address && symbols[i].requirement == REQUIRED) {
      return udm_fail(error, UDM_ERROR_NO_DRIVER,
                      "%s has no %s: the driver is too old for udm, or it is not a CUDA driver",
                      udm_driver_library_name(settings), symbols[i].name);
    }
    set_symbol(driver, symbols[i].offset, address);
  }
  return UDM_OK;
}

udm_status udm_driver_open(const struct settings *settings, struct driver *driver,
                           struct error *error) {
  memset(driver, 0, sizeof *driver);
  const char *name = udm_driver_library_name(settings);
  if (udm_host_has(&settings->host, UDM_LIBRARY_DRIVER, "cuInit")) {
    driver->host = settings->host;
    return resolve_symbols(settings, driver, error);
  }
  driver->library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!driver->library) {
    const char *reason = dlerror();
    return udm_fail(error, UDM_ERROR_NO_DRIVER, "dlopen: %s: install the NVIDIA driver%s",
                    reason ? reason : name,
                    settings->driver_library ? ", or correct the path given in the options or in "
                                               "UDM_DRIVER_LIBRARY"
                                             : ", or name its libcuda in UDM_DRIVER_LIBRARY");
  }
  const udm_status status = resolve_symbols(settings, driver, error);
  if (status != UDM_OK) udm_driver_close(driver);
  return status;
}

void udm_driver_close(struct driver *driver) {
  if (driver->library) dlclose(driver->library);
  memset(driver, 0, sizeof *driver);
}

static const char *what_to_do(CUresult result) {
  switch (result) {
    case CUDA_ERROR_STUB_LIBRARY:
      return "this is the toolkit's stub, not a driver: install the NVIDIA driver, or take the "
             "stub's folder off the library path";
    case CUDA_ERROR_NO_DEVICE:
      return "no GPU is visible: check nvidia-smi, CUDA_VISIBLE_DEVICES and the container's GPU "
             "access";
    case CUDA_ERROR_INVALID_CONTEXT:
    case CUDA_ERROR_INVALID_HANDLE:
      return "the CUDA context that was current in udm_create must be current, and the stream "
             "must be of that context";
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
      return "an earlier kernel of this context failed, not necessarily udm's: compute-sanitizer "
             "finds it; create a new context";
    case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED:
    case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED:
    case CUDA_ERROR_STREAM_CAPTURE_IMPLICIT:
    case CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD:
      return "a stream is being captured, and this driver does not load code meanwhile: call "
             "udm_create before the capture";
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
      return "the PTX is of a newer CUDA than this driver: update the driver";
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
      return "the driver's libnvidia-ptxjitcompiler.so.1 is missing: give the container the "
             "driver's compute libraries (NVIDIA_DRIVER_CAPABILITIES=compute,utility)";
    case CUDA_ERROR_JIT_COMPILATION_DISABLED:
      return "unset CUDA_DISABLE_PTX_JIT";
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return "this libcuda does not fit the kernel's driver module: after an update of the driver, "
             "restart the machine or reload the module; in a container, or with a compatibility "
             "package (cuda-compat), take it off LD_LIBRARY_PATH, or name the libcuda of the "
             "machine's driver in UDM_DRIVER_LIBRARY";
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return "this libcuda is of a compatibility package (cuda-compat), which this GPU does not "
             "support: take its folder off LD_LIBRARY_PATH, or name the libcuda of the machine's "
             "driver in UDM_DRIVER_LIBRARY";
    default:
      return NULL;
  }
}

/* True if another libcuda may be what helps, so that the message must name this one. */
static bool is_about_the_library(CUresult result) {
  return result == CUDA_ERROR_STUB_LIBRARY || result == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ||
         result == CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE;
}

void udm_driver_library_path(const struct driver *driver, char path[UDM_PATH_SIZE]) {
  struct link_map *map = NULL;
  path[0] = '\0';
  if (!driver->library) {
    udm_symbol_path(find_exported(driver, "cuInit"), path);
  } else if (dlinfo(driver->library, RTLD_DI_LINKMAP, &map) == 0 && map->l_name) {
    snprintf(path, UDM_PATH_SIZE, "%s", map->l_name);
  }
}

udm_status udm_fail_driver(const struct driver *driver, udm_status status, const char *call,
                           const char *about, CUresult result, struct error *error) {
  const char *name = NULL;
  const char *text = NULL;
  const char *advice = what_to_do(result);
  char path[UDM_PATH_SIZE] = "";
  if (!about && is_about_the_library(result)) {
    udm_driver_library_path(driver, path);
    about = *path ? path : NULL;
  }
  if (driver->cuGetErrorName) driver->cuGetErrorName(result, &name);
  if (driver->cuGetErrorString) driver->cuGetErrorString(result, &text);
  return udm_fail(error, status, "%s%s%s%s: %s (%u)%s%s%s%s", call, about ? " (" : "",
                  about ? about : "", about ? ")" : "", name ? name : "CUDA error",
                  (unsigned)result, text ? ": " : "", text ? text : "", advice ? ": " : "",
                  advice ? advice : "");
}

udm_status udm_driver_device_arch(const struct driver *driver, CUdevice device, int32_t *arch,
                                  struct error *error) {
  int major = 0;
  int minor = 0;
  CUresult result =
      driver->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  if (result == CUDA_SUCCESS) {
    result =
        driver->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  }
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuDeviceGetAttribute", "compute capability",
                           result, error);
  }
  *arch = 10 * major + minor;
  return UDM_OK;
}
