/*
 * plan.c: udm.Plan. It holds udm_decode_args with everything but the batch, and
 * references to the tensors that these point at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "plan.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

#include "arguments.h"
#include "binding.h"
#include "decode.h"
#include "options.h"

/* CPython's vectorcall protocol: the flag of the type, and the bit that is not part of the count.
   Every version since 3.8 has it; the limited API declares it from 3.12 on. */
#define HAVE_VECTORCALL (1UL << 11)
#define VECTORCALL_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1))
typedef PyObject *vectorcall_function(PyObject *self, PyObject *const *arguments, size_t given,
                                      PyObject *keyword_names);

struct plan {
  PyObject_HEAD vectorcall_function *call; /* found by __vectorcalloffset__ */
  struct binding bound;                    /* never changes: calls on several threads read it */
  long long max_batch_size;
  PyObject *tensors; /* kept alive; NULL: the garbage collector has taken them */
  PyObject *weak_references;
};

/* In parts, because a compiler need not accept longer literals; joined_doc() joins them. */
static const char plan_signature_doc[] =
    "Plan(metadata_list, req_to_token, nsa_index_topk, real_page_size, *, "
    "max_batch_size=None, " OPTION_SIGNATURE ")\n--\n\n";

static const char plan_doc[] =
    "Binds the outputs of 1 to 8 backends once, so that plan(seq_lens, req_pool_indices) only\n"
    "reads two tensors and launches. For servers that call it every step, with the same metadata\n"
    "objects each time: one plan per mode and captured batch size.\n\n"
    "metadata_list        as backend_metadata_list of unified_decode_metadata_cuda_direct(). The\n"
    "                     plan keeps its tensors alive, not the objects. It does not see a tensor\n"
    "                     that later replaces one of them\n"
    "req_to_token         int32 [requests, columns]; the plan keeps it alive too\n"
    "nsa_index_topk       lengths are cut to it for nsa_cache_seqlens_int32\n"
    "real_page_size       tokens per page\n"
    "max_batch_size       None: the length of the first backend's cache_seqlens_int32\n";

static const char plan_call_doc[] =
    "\n"
    "plan(seq_lens, req_pool_indices, extend_lens=None, *, stream=None) takes, on the same "
    "device,\n"
    "\n"
    "seq_lens          int32 or int64 [bs], bs at most max_batch_size: tokens per request\n"
    "req_pool_indices  int32 or int64 [>= bs]: row of req_to_token per request\n"
    "extend_lens       int32 or int64 [>= bs], if the plan was made with num_tokens\n"
    "stream            as for unified_decode_metadata_cuda_direct()\n\n"
    "Making a plan loads the kernel, unless it is loaded. Several threads may call a plan at "
    "once,\n"
    "also during stream capture. A graph records the addresses of the tensors of the call and of\n"
    "the plan's tensors: keep them and the plan for as long as you replay the graph, and update\n"
    "those of the call in place.\n\n"
    "Example:\n\n"
    "    plan = udm.Plan(metadata, req_to_token, 2048, 64)   # once per captured batch size\n"
    "    plan(seq_lens, req_pool_indices)                    # every step, or recorded:\n\n"
    "    graph = torch.cuda.CUDAGraph()\n"
    "    with torch.cuda.graph(graph):\n"
    "        plan(seq_lens, req_pool_indices)\n"
    "    seq_lens.copy_(new_seq_lens)\n"
    "    graph.replay()\n\n"
    "    verify = udm.Plan(metadata, req_to_token, 2048, 64, mode='target_verify',\n"
    "                      tokens_per_request=4, schedule_variant='sm90',\n"
    "                      extra_outputs=['paged_mqa_schedule_metadata'])\n";

enum plan_argument {
  PLAN_METADATA,
  PLAN_REQ_TO_TOKEN,
  PLAN_TOPK,
  PLAN_PAGE_SIZE,
  PLAN_MAX_BATCH_SIZE,
  PLAN_OPTIONS,
  PLAN_ARGUMENTS = PLAN_OPTIONS + OPTIONS
};

static const struct signature plan_signature = {"Plan",
                                                4,
                                                4,
                                                PLAN_ARGUMENTS,
                                                {"metadata_list", "req_to_token", "nsa_index_topk",
                                                 "real_page_size", "max_batch_size", OPTION_NAMES}};

static int bind(struct plan *self, PyObject *const *values) {
  struct binding *b = &self->bound;
  int64_t rows = -1;
  if (values[PLAN_MAX_BATCH_SIZE] && !Py_IsNone(values[PLAN_MAX_BATCH_SIZE]) &&
      argument_int64("max_batch_size", values[PLAN_MAX_BATCH_SIZE], 0, &rows) < 0) {
    return -1;
  }
  if (rows > INT32_MAX) rows = INT32_MAX; /* more than a call can have */
  binding_init(b);
  b->backends_argument = plan_signature.names[PLAN_METADATA];
  if (bind_options(b, values + PLAN_OPTIONS) < 0 ||
      bind_scalars(b, values[PLAN_TOPK], values[PLAN_PAGE_SIZE]) < 0 ||
      bind_req_to_token(b, values[PLAN_REQ_TO_TOKEN]) < 0 ||
      bind_backends(b, values[PLAN_METADATA], &rows, self->tensors) < 0 ||
      bind_offsets(b, values[PLAN_OPTIONS + OPTION_SEQLEN_OFFSET]) < 0) {
    return -1;
  }
  self->max_batch_size = rows;
  return PyList_Append(self->tensors, values[PLAN_REQ_TO_TOKEN]);
}

static vectorcall_function plan_vectorcall;

/* Does the work of __init__ too, so that no incomplete plan exists. */
static PyObject *plan_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *values[PLAN_ARGUMENTS];
  if (arguments_parse_tuple(&plan_signature, arguments, keywords, values) < 0) return NULL;
  allocfunc allocate = (allocfunc)(uintptr_t)PyType_GetSlot(type, Py_tp_alloc);
  struct plan *self = (struct plan *)(void *)allocate(type, 0);
  if (!self) return NULL;
  self->call = plan_vectorcall;
  self->tensors = PyList_New(0);
  bool pushed = false;
  if (self->tensors && bind(self, values) == 0 && cuda_device_enter(self->bound.device, &pushed)) {
    cuda_device_leave(pushed);
    return (PyObject *)self;
  }
  Py_DECREF(self);
  return NULL;
}

/* For the garbage collector: a plan may be an attribute of one of its own tensors. */
static int plan_traverse(PyObject *object, visitproc visit, void *arg) {
  struct plan *self = (struct plan *)(void *)object;
  Py_VISIT(self->tensors);
  Py_VISIT((PyObject *)Py_TYPE(object));
  return 0;
}

static int plan_clear(PyObject *object) {
  struct plan *self = (struct plan *)(void *)object;
  Py_CLEAR(self->tensors);
  return 0;
}

static void plan_free(PyObject *object) {
  struct plan *self = (struct plan *)(void *)object;
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  if (self->weak_references) PyObject_ClearWeakRefs(object);
  Py_XDECREF(self->tensors);
  freefunc release = (freefunc)(uintptr_t)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

enum call_argument {
  CALL_SEQ_LENS,
  CALL_REQ_POOL_INDICES,
  CALL_EXTEND_LENS,
  CALL_STREAM,
  CALL_ARGUMENTS
};

static const struct signature call_signature = {
    "Plan.__call__",
    2,
    3,
    CALL_ARGUMENTS,
    {"seq_lens", "req_pool_indices", "extend_lens", "stream"}};

static PyObject *launch_plan(const struct plan *self, PyObject *const *values) {
  struct binding b = self->bound;
  CUstream stream = NULL;
  if (!self->tensors) { /* code that runs while a cycle is collected: the memory may be gone */
    PyErr_SetString(PyExc_ReferenceError, "this plan is being garbage collected");
    return NULL;
  }
  if (stream_choose(values[CALL_STREAM], &b.consumer) < 0) return NULL;
  if (bind_batch(&b, values[CALL_SEQ_LENS], values[CALL_REQ_POOL_INDICES], &stream) < 0 ||
      bind_extend_lens(&b, values[CALL_EXTEND_LENS]) < 0) {
    return NULL;
  }
  if (b.args.batch_size > self->max_batch_size) {
    PyErr_Format(PyExc_ValueError, "seq_lens has %d elements: this plan was made for %lld at most",
                 (int)b.args.batch_size, self->max_batch_size);
    return NULL;
  }
  return launch_direct(&b, stream) == 0 ? Py_NewRef(Py_None) : NULL;
}

/* plan(...), without a tuple for its arguments. */
static PyObject *plan_vectorcall(PyObject *object, PyObject *const *arguments, size_t given,
                                 PyObject *keyword_names) {
  PyObject *values[CALL_ARGUMENTS];
  const Py_ssize_t count = (Py_ssize_t)(given & ~VECTORCALL_ARGUMENTS_OFFSET);
  if (arguments_parse(&call_signature, arguments, count, keyword_names, values) < 0) return NULL;
  return launch_plan((const struct plan *)(const void *)object, values);
}

/* plan.__call__(...) */
static PyObject *plan_call(PyObject *object, PyObject *arguments, PyObject *keywords) {
  PyObject *values[CALL_ARGUMENTS];
  if (arguments_parse_tuple(&call_signature, arguments, keywords, values) < 0) return NULL;
  return launch_plan((const struct plan *)(const void *)object, values);
}

/* CPython finds the offsets of these two members by name. */
#define VECTORCALL_OFFSET "__vectorcalloffset__"
#define WEAK_REFERENCES_OFFSET "__weaklistoffset__"

static PyObject *plan_repr(PyObject *object) {
  const struct plan *self = (const struct plan *)(const void *)object;
  const udm_decode_args *args = &self->bound.args;
  return PyUnicode_FromFormat(
      "<udm.Plan: %s, %d backends, batch size up to %lld, %d tokens per request, pages of %d, "
      "CUDA device %d>",
      mode_names[args->mode], (int)args->num_backends, self->max_batch_size, (int)args->max_len,
      (int)args->real_page_size, (int)self->bound.device);
}

#define BOUND(field) (Py_ssize_t) offsetof(struct plan, bound.field)

static PyMemberDef plan_members[] = {
    {"device", T_INT, BOUND(device), READONLY, "number of the CUDA device"},
    {"num_backends", T_INT, BOUND(args.num_backends), READONLY, "1 to 8"},
    {"max_len", T_INT, BOUND(args.max_len), READONLY, "most tokens per request in page tables"},
    {"max_batch_size", T_LONGLONG, (Py_ssize_t)offsetof(struct plan, max_batch_size), READONLY,
     "most requests per call"},
    {VECTORCALL_OFFSET, T_PYSSIZET, (Py_ssize_t)offsetof(struct plan, call), READONLY, NULL},
    {WEAK_REFERENCES_OFFSET, T_PYSSIZET, (Py_ssize_t)offsetof(struct plan, weak_references),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

/* ISO C has no conversion from a function to an object pointer; POSIX and CPython rely on one. */
#define SLOT(function) ((void *)(uintptr_t)(function))

/* Hides an attribute from help(). Some versions of CPython have removed one of them already. */
static void hide(PyObject *type, const char *attribute) {
  if (PyObject_DelAttrString(type, attribute) < 0) PyErr_Clear();
}

static char *joined_doc(void) {
  static char doc[sizeof plan_signature_doc + sizeof plan_doc + 4096 + sizeof plan_call_doc];
  PyOS_snprintf(doc, sizeof doc, "%s%s%s%s", plan_signature_doc, plan_doc, option_doc,
                plan_call_doc);
  return doc;
}

int plan_create(PyObject *module) {
  PyType_Slot slots[] = {{Py_tp_doc, joined_doc()},
                         {Py_tp_new, SLOT(plan_new)},
                         {Py_tp_dealloc, SLOT(plan_free)},
                         {Py_tp_traverse, SLOT(plan_traverse)},
                         {Py_tp_clear, SLOT(plan_clear)},
                         {Py_tp_call, SLOT(plan_call)},
                         {Py_tp_repr, SLOT(plan_repr)},
                         {Py_tp_members, plan_members},
                         {0, NULL}};
  const unsigned flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | HAVE_VECTORCALL;
  PyType_Spec spec = {"udm.Plan", (int)sizeof(struct plan), 0, flags, slots};
  PyObject *type = PyType_FromSpec(&spec);
  if (!type) return -1;
  hide(type, VECTORCALL_OFFSET);
  hide(type, WEAK_REFERENCES_OFFSET);
  const int result = PyModule_AddObjectRef(module, "Plan", type);
  Py_DECREF(type);
  return result;
}
