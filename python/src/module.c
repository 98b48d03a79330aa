/*
 * module.c: the extension module udm._udm. Importing it looks at no driver and
 * no GPU: that is done at first use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arguments.h"
#include "cuda_device.h"
#include "decode.h"
#include "errors.h"
#include "names.h"
#include "plan.h"

static const char prepare_doc[] =
    "prepare(device=None)\n--\n\n"
    "Loads the kernel for a CUDA device, which the first call would do otherwise: from the cache,\n"
    "or compiled by NVRTC. For servers that capture a graph before any call, and to see what is\n"
    "missing early.\n\n"
    "device    None: that of the calling thread's current CUDA context; 0 where none is (from\n"
    "          CUDA 12 on torch.cuda.set_device() makes one current). Else a number, 'cuda:1' or\n"
    "          a torch.device; without a number these two mean the current device too\n\n"
    "What is missing is a udm.Error: no driver, no such device, no NVRTC and nothing cached.\n\n"
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

/* METH_FASTCALL functions are stored as PyCFunctions and called as what they are. */
static PyCFunction as_method(fast_function *function) {
  return (PyCFunction)(void (*)(void))function;
}

static PyMethodDef methods[5];

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
  if (names_create() < 0 || errors_create(module) < 0 || plan_create(module) < 0 ||
      PyModule_AddStringConstant(module, "__version__", udm_version_string()) < 0) {
    Py_DECREF(module);
    return NULL;
  }
  return module;
}
