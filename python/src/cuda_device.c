/*
 * cuda_device.c: the list of loaded kernels, one per CUDA context. It is read
 * and written with the GIL held; a kernel is loaded without it, by one thread
 * at a time. A child made by fork() gets nothing of it: CUDA does not work there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cuda_device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cuda_driver.h"
#include "errors.h"
#include "nvrtc_wheel.h"

/* The functions of the driver that every call needs. */
#define DRIVER_FUNCTIONS(X)   \
  X(cuInit)                   \
  X(cuDeviceGet)              \
  X(cuDevicePrimaryCtxRetain) \
  X(cuCtxGetCurrent)          \
  X(cuCtxGetDevice)           \
  X(cuCtxPushCurrent_v2)      \
  X(cuCtxPopCurrent_v2)       \
  X(cuGetErrorName)

static struct {
  bool ready;  /* false again in a child */
  bool forked; /* this process is a child of one that was ready */
#define DRIVER_FIELD(name) name##_function *name;
  DRIVER_FUNCTIONS(DRIVER_FIELD)
#undef DRIVER_FIELD
  cuPointerGetAttribute_function *cuPointerGetAttribute; /* or NULL */
} driver;

static struct loaded_kernel *loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER; /* never taken with the GIL held */

static int raise_driver(const char *function, CUresult result) {
  const char *error_name = NULL;
  if (driver.cuGetErrorName(result, &error_name) != CUDA_SUCCESS) error_name = NULL;
  return raise_text(UDM_ERROR_DRIVER, "%s failed: %s (%u)", function,
                    error_name ? error_name : "unknown error", result);
}

/* Why there is no such device, in the library's words; the driver's when it sees nothing wrong. */
static int raise_no_device(const char *function, CUresult result, int32_t device) {
  udm_device_info info = {.struct_size = sizeof info};
  const udm_status status = udm_query_device(NULL, device, &info);
  return status == UDM_OK ? raise_driver(function, result) : raise_status(status);
}

/* One thread runs in a child. What comes first in every call sees it, at no cost. */
static void forget_driver(void) {
  driver.forked = driver.forked || driver.ready;
  driver.ready = false;
}

static int watch_forks(void) {
  static bool watching;
  if (!watching && pthread_atfork(NULL, NULL, forget_driver) != 0) {
    PyErr_NoMemory();
    return -1;
  }
  watching = true;
  return 0;
}

static int raise_forked(void) {
  return raise_text(UDM_ERROR_DRIVER,
                    "CUDA cannot be used in this process: fork() made it of one that had used udm "
                    "on a GPU. Fork before udm is used for the first time, or start the process "
                    "anew (multiprocessing's spawn or forkserver, subprocess)");
}

static int open_driver(void) {
  if (driver.forked) return raise_forked();
  if (watch_forks() < 0) return -1;
#define DRIVER_RESOLVE(name)                                                                 \
  {                                                                                          \
    const udm_status status = udm_driver_symbol(NULL, #name, (void **)(void *)&driver.name); \
    if (status != UDM_OK) return raise_status(status);                                       \
  }
  DRIVER_FUNCTIONS(DRIVER_RESOLVE)
#undef DRIVER_RESOLVE
  if (udm_driver_symbol(NULL, "cuPointerGetAttribute",
                        (void **)(void *)&driver.cuPointerGetAttribute) != UDM_OK) {
    driver.cuPointerGetAttribute = NULL;
  }
  const CUresult result = driver.cuInit(0);
  if (result != CUDA_SUCCESS) return raise_no_device("cuInit", result, 0);
  driver.ready = true;
  return 0;
}

static const struct loaded_kernel *find(CUcontext cuda) {
  const struct loaded_kernel *kernel = loaded;
  while (kernel && kernel->cuda != cuda) kernel = kernel->next;
  return kernel;
}

/* Without the GIL. NVRTC of a wheel is asked for only where the library finds none itself. */
static udm_status create(udm_context **out) {
  const udm_status status = udm_create(NULL, out);
  if (status != UDM_ERROR_NO_IMAGE && status != UDM_ERROR_NO_NVRTC) return status;
  char path[UDM_PATH_SIZE];
  if (!nvrtc_wheel_path(path, sizeof path)) return status;
  udm_options options = UDM_OPTIONS_INIT;
  options.nvrtc_library = path;
  return udm_create(&options, out);
}

/* Into the current context, which is cuda. */
static const struct loaded_kernel *load(CUcontext cuda, int32_t device) {
  struct loaded_kernel *kernel = malloc(sizeof *kernel);
  if (!kernel) {
    PyErr_NoMemory();
    return NULL;
  }
  *kernel = (struct loaded_kernel){cuda, device, NULL, NULL};
  udm_status status = UDM_OK;

  PyThreadState *state = PyEval_SaveThread();
  pthread_mutex_lock(&loading);
  const struct loaded_kernel *other = find(cuda); /* only the holder of the mutex adds one */
  if (!other) status = create(&kernel->udm);
  PyEval_RestoreThread(state); /* who waits for the mutex has not the GIL */
  if (!other && status == UDM_OK) {
    kernel->next = loaded;
    loaded = kernel;
  }
  pthread_mutex_unlock(&loading);

  if (!other && status == UDM_OK) return kernel;
  free(kernel);
  if (status != UDM_OK) raise_status(status);
  return other;
}

/* Pushes the device's primary context. It stays retained: udm's kernel is in it from now on. */
static int push_primary(int32_t device, CUcontext *out) {
  enum { REMEMBERED = 64 };
  static CUcontext primary[REMEMBERED];
  CUcontext context = device < REMEMBERED ? primary[device] : NULL;
  if (!context) {
    CUdevice handle = 0;
    CUresult result = driver.cuDeviceGet(&handle, device);
    if (result != CUDA_SUCCESS) return raise_no_device("cuDeviceGet", result, device);
    result = driver.cuDevicePrimaryCtxRetain(&context, handle);
    if (result != CUDA_SUCCESS) return raise_driver("cuDevicePrimaryCtxRetain", result);
    if (device < REMEMBERED) primary[device] = context;
  }
  const CUresult result = driver.cuCtxPushCurrent_v2(context);
  if (result != CUDA_SUCCESS) return raise_driver("cuCtxPushCurrent", result);
  *out = context;
  return 0;
}

static bool is_of_device(CUcontext context, int32_t device) {
  CUdevice current = -1;
  return context && driver.cuCtxGetDevice(&current) == CUDA_SUCCESS && current == device;
}

const struct loaded_kernel *cuda_device_enter(int32_t device, bool *pushed) {
  *pushed = false;
  if (!driver.ready && open_driver() < 0) return NULL;
  CUcontext context = NULL;
  const CUresult result = driver.cuCtxGetCurrent(&context);
  if (result != CUDA_SUCCESS) {
    raise_driver("cuCtxGetCurrent", result);
    return NULL;
  }
  const struct loaded_kernel *kernel = find(context);
  if (kernel && kernel->device == device) return kernel;
  if (!is_of_device(context, device)) {
    if (push_primary(device, &context) < 0) return NULL;
    *pushed = true;
    kernel = find(context);
  }
  if (!kernel) kernel = load(context, device);
  if (!kernel) cuda_device_leave(*pushed);
  return kernel;
}

void cuda_device_leave(bool pushed) {
  CUcontext context = NULL;
  if (pushed) driver.cuCtxPopCurrent_v2(&context);
}

int cuda_device_current(int32_t *device) {
  if (!driver.ready && open_driver() < 0) return -1;
  CUdevice current = 0;
  *device = driver.cuCtxGetDevice(&current) == CUDA_SUCCESS ? current : 0;
  return 0;
}

int cuda_device_of_pointer(CUdeviceptr address, int32_t *device) {
  if (!driver.ready && open_driver() < 0) return -1;
  int ordinal = 0;
  if (driver.cuPointerGetAttribute &&
      driver.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address) ==
          CUDA_SUCCESS &&
      ordinal >= 0) { /* negative: memory of no device */
    *device = ordinal;
    return 0;
  }
  return cuda_device_current(device);
}
