/*
 * cuda_device.c: which CUDA context a call uses, the kernel loaded into each
 * context, and devices as a caller names them. The list of kernels is read and
 * written with the GIL held; one thread at a time loads a kernel, without the
 * GIL. A child made by fork() inherits none of it: CUDA does not work there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cuda_device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "cuda/cuda_driver.h"
#include "errors.h"
#include "foreign_tensor.h"
#include "library_log.h"
#include "names.h"
#include "python_api.h"

static bool copy_text(PyObject *text, char *path, size_t size) {
  const char *utf8 = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  if (!utf8 || strlen(utf8) >= size) return false;
  memcpy(path, utf8, strlen(utf8) + 1);
  return true;
}

static bool nvrtc_wheel_path(char *path, size_t size) {
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *module = PyImport_ImportModule("udm._nvrtc");
  PyObject *found = module ? PyObject_CallMethod(module, "find", NULL) : NULL;
  const bool copied = found && copy_text(found, path, size);
  Py_XDECREF(found);
  Py_XDECREF(module);
  PyErr_Clear(); /* the library's own message says that NVRTC is missing */
  PyGILState_Release(state);
  return copied;
}

/* Driver functions that every call needs. */
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

/* The library says why there is no such device; if it finds nothing wrong, the driver does. */
static int raise_no_device(const char *function, CUresult result, int32_t device) {
  udm_device_info info = {.struct_size = sizeof info};
  const udm_status status = udm_query_device(NULL, device, &info);
  return status == UDM_OK ? raise_driver(function, result) : raise_status(status);
}

/* Runs in the child, on its only thread. Every call looks at driver.ready first anyway. */
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
  return raise_text(
      UDM_ERROR_DRIVER,
      "CUDA cannot be used in this process: fork() made it from one that had used udm "
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

/*
 * Lets Python's signal handlers run. Ctrl-C raises KeyboardInterrupt: then the wait or the compile
 * ends, and the exception stays set.
 */
static int should_stop(void *user_data, udm_activity activity) {
  (void)user_data;
  (void)activity;
  const PyGILState_STATE state = PyGILState_Ensure();
  const int raised = PyErr_CheckSignals();
  PyGILState_Release(state);
  return raised;
}

/* Runs without the GIL. Looks for NVRTC of a wheel only if the library finds none itself. */
static udm_status create(struct library_log *log, udm_context **out) {
  udm_options options = UDM_OPTIONS_INIT;
  options.log = library_log_keep;
  options.log_user_data = log;
  options.should_stop = should_stop;
  const udm_status status = udm_create(&options, out);
  if (status != UDM_ERROR_NO_IMAGE && status != UDM_ERROR_NO_NVRTC) return status;
  char path[UDM_PATH_SIZE];
  if (!nvrtc_wheel_path(path, sizeof path)) return status;
  options.nvrtc_library = path;
  return udm_create(&options, out);
}

/*
 * Passes on the log of a create with this status, and raises what it failed with. Returns -1 with
 * an exception set, also if the log itself raised one.
 */
static int finish_create(udm_status status, struct library_log *log) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  const bool interrupted = PyErr_Occurred(); /* should_stop() lets the exception stay */
  if (status == UDM_OK && !interrupted) return library_log_pass_on(log);
  if (!interrupted) raise_status(status); /* before a handler of the log calls udm */
  PyErr_Fetch(&type, &value, &traceback);
  if (library_log_pass_on(log) < 0) PyErr_WriteUnraisable(NULL);
  PyErr_Restore(type, value, traceback);
  return -1;
}

/* Loads the kernel into cuda, which is the current context. */
static const struct loaded_kernel *load(CUcontext cuda, int32_t device) {
  struct loaded_kernel *kernel = malloc(sizeof *kernel);
  if (!kernel) {
    PyErr_NoMemory();
    return NULL;
  }
  *kernel = (struct loaded_kernel){cuda, device, NULL, NULL};
  udm_status status = UDM_OK;
  struct library_log log = {NULL, 0, 0};

  PyThreadState *state = PyEval_SaveThread();
  pthread_mutex_lock(&loading);
  const struct loaded_kernel *other = find(cuda); /* only the holder of the mutex adds one */
  if (!other) status = create(&log, &kernel->udm);
  PyEval_RestoreThread(state); /* a thread that waits for the mutex does not hold the GIL */
  if (!other && status == UDM_OK) {
    kernel->next = loaded;
    loaded = kernel;
  }
  pthread_mutex_unlock(&loading);

  const struct loaded_kernel *result = other ? other : kernel;
  if (other || status != UDM_OK) free(kernel);
  return finish_create(status, &log) == 0 ? result : NULL;
}

/* Pushes the device's primary context, and keeps it retained: udm's kernel stays in it. */
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
      ordinal >= 0) { /* negative: the memory belongs to no device */
    *device = ordinal;
    return 0;
  }
  return cuda_device_current(device);
}

static int raise_other_kind(PyObject *value) {
  PyErr_Format(
      PyExc_ValueError,
      "device is %R: it must be a CUDA device: 1, \"cuda:1\", or \"cuda\" for the current one",
      value);
  return -1;
}

/* "cuda", "cuda:0" */
static int read_text(PyObject *value, int32_t *device) {
  static const char cuda[] = "cuda";
  const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
  if (!text) return -1;
  if (strncmp(text, cuda, strlen(cuda)) != 0) return raise_other_kind(value);
  const char *rest = text + strlen(cuda);
  if (!*rest) return cuda_device_current(device);
  const int number = *rest == ':' ? small_number(rest + 1, INT32_MAX / 16) : 0;
  if (number == 0 && strcmp(rest, ":0") != 0) return raise_other_kind(value);
  *device = number;
  return 0;
}

/* torch.device: its type is "cuda", its index a number or None. */
static int read_object(PyObject *value, int32_t *device) {
  PyObject *type = optional_attribute(value, name.type);
  PyObject *index = type ? optional_attribute(value, name.index) : NULL;
  int result = -1;
  if (PyErr_Occurred()) {
    /* an attribute that is code has raised it */
  } else if (!index) {
    PyErr_Format(PyExc_TypeError,
                 "device is a %R: it must be None, an integer, a string or a torch.device",
                 (PyObject *)Py_TYPE(value));
  } else if (!PyUnicode_Check(type) || PyUnicode_CompareWithASCIIString(type, "cuda") != 0) {
    raise_other_kind(value);
  } else if (Py_IsNone(index)) {
    result = cuda_device_current(device);
  } else {
    result = argument_int32("device", index, 0, device);
  }
  Py_XDECREF(index);
  Py_XDECREF(type);
  return result;
}

int device_argument(PyObject *value, int32_t *device) {
  if (!value || Py_IsNone(value)) return cuda_device_current(device);
  if (PyIndex_Check(value)) return argument_int32("device", value, 0, device);
  return PyUnicode_Check(value) ? read_text(value, device) : read_object(value, device);
}
