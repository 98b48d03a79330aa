/*
 * module.c: the extension module udm._udm. Importing it touches no driver and
 * no GPU: the first use does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arguments.h"
#include "cuda_device.h"
#include "decode.h"
#include "errors.h"
#include "inspection.h"
#include "names.h"
#include "plan.h"

static const char prepare_doc[] =
    "prepare(device=None)\n--\n\n"
    "Loads the kernel for a CUDA device, from the cache or compiled by NVRTC. Otherwise the first\n"
    "call does so. For servers that capture a graph before any call, and to learn early if\n"
    "something is missing.\n\n"
    "device    None: the device of the calling thread's current CUDA context; 0 if it has none\n"
    "          (from CUDA 12 on torch.cuda.set_device() makes one current). Else a number,\n"
    "          'cuda:1' or a torch.device; 'cuda' and a torch.device without a number mean the\n"
    "          current device too\n\n"
    "Raises a udm.Error if there is no driver, no such device, or no NVRTC and nothing cached.\n\n"
    "Example:\n\n"
    "    udm.prepare(torch.device(\"cuda\", rank))\n";

static const struct signature prepare_signature = {"prepare", 0, 1, 1, {"device"}};

static PyObject *prepare(PyObject *module, PyObject *const *arguments, Py_ssize_t given,
                         PyObject *keyword_names) {
  (void)module;
  PyObject *value = NULL;
  int32_t device = 0;
  bool pushed = false;
  if (arguments_parse(&prepare_signature, arguments, given, keyword_names, &value) < 0) return NULL;
  if (device_argument(value, &device) < 0) return NULL;
  if (!cuda_device_enter(device, &pushed)) return NULL;
  cuda_device_leave(pushed);
  return Py_NewRef(Py_None);
}

static const char library_finds_nvrtc_doc[] =
    "library_finds_nvrtc()\n--\n\nWhether the library finds NVRTC without help.\n";

static PyObject *library_finds_nvrtc(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  udm_nvrtc_info info = {.struct_size = sizeof info};
  return PyBool_FromLong(udm_query_nvrtc(NULL, &info) == UDM_OK);
}

typedef PyObject *fast_function(PyObject *module, PyObject *const *arguments, Py_ssize_t given,
                                PyObject *keyword_names);

/* Python stores METH_FASTCALL functions as PyCFunction, and calls them with their own type. */
static PyCFunction as_method(fast_function *function) {
  return (PyCFunction)(void (*)(void))function;
}

static PyMethodDef methods[7];

static void list_methods(void) {
  const int fast = METH_FASTCALL | METH_KEYWORDS;
  methods[0] = (PyMethodDef){"unified_decode_metadata_cuda_direct",
                             as_method(unified_decode_metadata_cuda_direct), fast,
                             unified_decode_metadata_cuda_direct_doc};
  methods[1] =
      (PyMethodDef){"unified_decode_metadata_cuda", as_method(unified_decode_metadata_cuda), fast,
                    unified_decode_metadata_cuda_doc};
  methods[2] = (PyMethodDef){"prepare", as_method(prepare), fast, prepare_doc};
  methods[3] = (PyMethodDef){"library_finds_nvrtc", library_finds_nvrtc, METH_NOARGS,
                             library_finds_nvrtc_doc};
  methods[4] = (PyMethodDef){"image", as_method(image), fast, image_doc};
  methods[5] = (PyMethodDef){"cache_counters", cache_counters, METH_NOARGS, cache_counters_doc};
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "udm._udm",
                                        "The C part of udm.",
                                        -1, /* one per process: kernels are loaded once */
                                        methods,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit__udm(void);

PyMODINIT_FUNC PyInit__udm(void) {
  list_methods();
  PyObject *module = PyModule_Create(&definition);
  if (!module) return NULL;
  if (names_create() < 0 || errors_create(module) < 0 || inspection_create(module) < 0 ||
      plan_create(module) < 0 ||
      PyModule_AddStringConstant(module, "__version__", udm_version_string()) < 0) {
    Py_DECREF(module);
    return NULL;
  }
  return module;
}
