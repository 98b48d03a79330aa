/*
 * inspection.c: udm.image(), udm.Image and udm.cache_counters().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "inspection.h"

#include <string.h>

#include "arguments.h"
#include "cuda_device.h"
#include "errors.h"
#include "udm.h"

static PyTypeObject *image_type; /* udm.Image */

static PyStructSequence_Field image_fields[] = {
    {"source",
     "where it came from: 'cache', 'read-only layer', 'nvrtc' (compiled now), 'nvrtc ptx' or "
     "'shipped ptx' (assembled by the driver)"},
    {"architecture", "the architecture it was built for: 90"},
    {"producer", "what made it: the compiler, its version and build"},
    {"bytes", "its size"},
    {NULL, NULL}};

static PyStructSequence_Desc image_description = {
    "udm.Image", "The kernel image that serves a device. udm.image() makes it.", image_fields, 4};

int inspection_create(PyObject *module) {
  if (!image_type) image_type = PyStructSequence_NewType(&image_description);
  if (!image_type) return -1;
  return PyModule_AddObjectRef(module, "Image", (PyObject *)image_type);
}

const char image_doc[] =
    "image(device=None)\n--\n\n"
    "Describes the kernel image that serves a CUDA device; loads it, unless it is loaded.\n\n"
    "device    as for prepare()\n\n"
    "Returns a udm.Image, a named tuple: source, architecture, producer, bytes. Raises as\n"
    "prepare() does.\n\n"
    "Example:\n\n"
    "    log.info(\"udm serves by %s\", udm.image().source)   # cache\n";

static const struct signature image_signature = {"image", 0, 1, 1, {"device"}};

/* Takes the references; NULL among them means that an exception is set. */
static PyObject *new_image_tuple(PyObject *const *values) {
  bool complete = true;
  for (int i = 0; i < image_description.n_in_sequence; ++i) complete = complete && values[i];
  PyObject *result = complete ? PyStructSequence_New(image_type) : NULL;
  for (int i = 0; i < image_description.n_in_sequence; ++i) {
    if (result) {
      PyStructSequence_SetItem(result, i, values[i]);
    } else {
      Py_XDECREF(values[i]);
    }
  }
  return result;
}

PyObject *image(PyObject *module, PyObject *const *arguments, Py_ssize_t given,
                PyObject *keyword_names) {
  (void)module;
  PyObject *value = NULL;
  int32_t device = 0;
  bool pushed = false;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  if (arguments_parse(&image_signature, arguments, given, keyword_names, &value) < 0) return NULL;
  if (device_argument(value, &device) < 0) return NULL;
  const struct loaded_kernel *kernel = cuda_device_enter(device, &pushed);
  if (!kernel) return NULL;
  cuda_device_leave(pushed);
  const udm_status status = udm_get_context_info(kernel->udm, &info);
  if (status != UDM_OK) {
    raise_status(status);
    return NULL;
  }
  const char *producer = info.image_producer;
  PyObject *const values[] = {
      PyUnicode_FromString(udm_image_source_name(info.image_source)),
      PyLong_FromLong(info.image_arch),
      PyUnicode_DecodeUTF8(producer, (Py_ssize_t)strlen(producer), "replace"),
      PyLong_FromSize_t(info.image_bytes)};
  return new_image_tuple(values);
}

const char cache_counters_doc[] =
    "cache_counters()\n--\n\n"
    "What the cache of compiled kernels did in this process so far: a dict from the name of each\n"
    "counter to its value. docs/CACHE.md and UDM_CACHE_COUNTER_TABLE of udm.h say what they "
    "count.\n"
    "Touches neither the driver nor the GPU.\n\n"
    "Example:\n\n"
    "    if udm.cache_counters()[\"compiles\"]:\n"
    "        log.warning(\"the cache was cold\")\n";

static int add_counter(PyObject *dict, const char *name, uint64_t value) {
  PyObject *number = PyLong_FromUnsignedLongLong(value);
  const int result = number ? PyDict_SetItemString(dict, name, number) : -1;
  Py_XDECREF(number);
  return result;
}

PyObject *cache_counters(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  udm_cache_counters counters = {.struct_size = sizeof counters};
  const udm_status status = udm_get_cache_counters(&counters);
  if (status != UDM_OK) {
    raise_status(status);
    return NULL;
  }
  PyObject *dict = PyDict_New();
  bool complete = dict != NULL;
#define ADD_COUNTER(name, text) complete = complete && add_counter(dict, #name, counters.name) == 0;
  UDM_CACHE_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
  if (complete) return dict;
  Py_XDECREF(dict);
  return NULL;
}
