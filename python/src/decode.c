/*
 * decode.c: the two drop-in functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode.h"

#include <string.h>

#include "arguments.h"
#include "options.h"

const char unified_decode_metadata_cuda_direct_doc[] =
    "unified_decode_metadata_cuda_direct(seq_lens, req_pool_indices, req_to_token, "
    "backend_metadata_list, nsa_index_topk, real_page_size, *, extend_lens=None, "
    "stream=None, " OPTION_SIGNATURE
    ")\n--\n\n"
    "Fills the metadata of 1 to 8 backends in one kernel launch. mode chooses the phase of a\n"
    "speculative step; the others of its keywords are listed in the documentation of Plan.\n\n"
    "seq_lens                int32 or int64 [bs]: tokens in the KV cache per request\n"
    "req_pool_indices        int32 or int64 [>= bs]: row of req_to_token per request; elements\n"
    "                        after the first bs are not read\n"
    "req_to_token            int32 [requests, columns]: KV slot of every token\n"
    "backend_metadata_list   list of objects with these attributes, int32 outputs. None: not\n"
    "                        written. tokens is bs in mode 'decode', else bs * tokens_per_request\n"
    "                        or num_tokens:\n"
    "    cache_seqlens_int32       [>= bs]\n"
    "    cu_seqlens_k              [>= bs + 1]\n"
    "    page_table_1              [>= tokens, >= max_len]\n"
    "    nsa_cache_seqlens_int32   [>= tokens], or dsa_cache_seqlens_int32\n"
    "    nsa_cu_seqlens_k          [>= tokens + 1], or dsa_cu_seqlens_k\n"
    "    real_page_table           [>= tokens, >= ceil(max_len / real_page_size)]; not used if\n"
    "                              real_page_size is 1\n"
    "    nsa_seqlens_expanded      [>= tokens], or dsa_seqlens_expanded\n"
    "nsa_index_topk          lengths are cut to it for nsa_cache_seqlens_int32\n"
    "real_page_size          tokens per page\n"
    "extend_lens             int32 or int64 [>= bs]: tokens per request in this phase, with\n"
    "                        num_tokens\n"
    "stream                  None: the current stream of the tensors' framework; else an integer\n"
    "                        or a stream object\n\n"
    "Tensors of PyTorch, CuPy, JAX and others, all on one CUDA device. Any thread. The first call\n"
    "loads the kernel, unless prepare() has done so. A wrong argument raises a TypeError,\n"
    "ValueError or AttributeError that names it; a failure of the library raises a udm.Error.\n\n"
    "Legal during stream capture, also inside torch.cuda.graph. The graph records the addresses\n"
    "of all these tensors: keep them, at the same addresses, for as long as you replay it.\n"
    "Update lengths and indices in place: every replay reads their current values.\n\n"
    "Example:\n\n"
    "    metadata = [b.decode_cuda_graph_metadata[bs] for b in attn_backends]\n"
    "    udm.unified_decode_metadata_cuda_direct(\n"
    "        seq_lens, req_pool_indices, req_to_token, metadata, 2048, 64)\n";

const char unified_decode_metadata_cuda_doc[] =
    "unified_decode_metadata_cuda(seq_lens, req_pool_indices, req_to_token, backend_pointers, "
    "max_len_allocated, nsa_index_topk, real_page_size, real_page_table_cols, "
    "real_page_table_dst_stride, *, extent='row', stream=None)\n--\n\n"
    "Mode 'decode' for backends given by the addresses of their int32 outputs. Everything else\n"
    "is as for unified_decode_metadata_cuda_direct().\n\n"
    "backend_pointers            int64 [7, N]: row = output, in the order of the attributes of\n"
    "                            unified_decode_metadata_cuda_direct(); column = backend. 0: not\n"
    "                            written. N is 1 to 8. The call reads a CPU tensor and copies\n"
    "                            nothing to the GPU. The kernel reads a GPU tensor, so keep it as\n"
    "                            long as a graph that recorded the call\n"
    "max_len_allocated           columns, and row stride, of page_table_1\n"
    "real_page_table_cols        columns of real_page_table\n"
    "real_page_table_dst_stride  its row stride in elements\n\n"
    "udm cannot check the tensors behind the addresses.\n\n"
    "Example:\n\n"
    "    pointers = torch.tensor([[t.data_ptr()] for t in outputs], dtype=torch.int64)\n"
    "    udm.unified_decode_metadata_cuda(seq_lens, req_pool_indices, req_to_token, pointers,\n"
    "                                     max_len, 2048, 64, pages, pages)\n";

static int launched(const struct binding *b, udm_status status) {
  return status == UDM_OK ? 0 : raise_launch(status, b->backends_argument);
}

int launch_direct(const struct binding *b, CUstream stream) {
  bool pushed = false;
  const struct loaded_kernel *kernel = cuda_device_enter(b->device, &pushed);
  if (!kernel) return -1;
  const int result = launched(b, udm_decode_metadata_direct(kernel->udm, &b->args, stream));
  cuda_device_leave(pushed);
  return result;
}

static int launch_table(const struct binding *b, CUdeviceptr pointers, int64_t pointers_stride,
                        CUstream stream) {
  bool pushed = false;
  const struct loaded_kernel *kernel = cuda_device_enter(b->device, &pushed);
  if (!kernel) return -1;
  const int result = launched(
      b, udm_decode_metadata_table(kernel->udm, &b->args, pointers, pointers_stride, stream));
  cuda_device_leave(pushed);
  return result;
}

static PyObject *none_or_null(int result) { return result == 0 ? Py_NewRef(Py_None) : NULL; }

enum direct_argument {
  DIRECT_SEQ_LENS,
  DIRECT_REQ_POOL_INDICES,
  DIRECT_REQ_TO_TOKEN,
  DIRECT_BACKENDS,
  DIRECT_TOPK,
  DIRECT_PAGE_SIZE,
  DIRECT_EXTEND_LENS,
  DIRECT_STREAM,
  DIRECT_OPTIONS,
  DIRECT_ARGUMENTS = DIRECT_OPTIONS + OPTIONS
};

static const struct signature direct_signature = {
    "unified_decode_metadata_cuda_direct",
    6,
    6,
    DIRECT_ARGUMENTS,
    {"seq_lens", "req_pool_indices", "req_to_token", "backend_metadata_list", "nsa_index_topk",
     "real_page_size", "extend_lens", "stream", OPTION_NAMES}};

PyObject *unified_decode_metadata_cuda_direct(PyObject *module, PyObject *const *arguments,
                                              Py_ssize_t given, PyObject *keyword_names) {
  (void)module;
  PyObject *values[DIRECT_ARGUMENTS];
  struct binding b;
  CUstream stream = NULL;
  if (arguments_parse(&direct_signature, arguments, given, keyword_names, values) < 0) return NULL;
  binding_init(&b);
  if (stream_choose(values[DIRECT_STREAM], &b.consumer) < 0) return NULL;
  if (bind_options(&b, values + DIRECT_OPTIONS) < 0 ||
      bind_scalars(&b, values[DIRECT_TOPK], values[DIRECT_PAGE_SIZE]) < 0 ||
      bind_batch(&b, values[DIRECT_SEQ_LENS], values[DIRECT_REQ_POOL_INDICES], &stream) < 0 ||
      bind_extend_lens(&b, values[DIRECT_EXTEND_LENS]) < 0 ||
      bind_req_to_token(&b, values[DIRECT_REQ_TO_TOKEN]) < 0) {
    return NULL;
  }
  int64_t rows = b.args.batch_size;
  b.backends_argument = direct_signature.names[DIRECT_BACKENDS];
  if (bind_backends(&b, values[DIRECT_BACKENDS], &rows, NULL) < 0 ||
      bind_offsets(&b, values[DIRECT_OPTIONS + OPTION_SEQLEN_OFFSET]) < 0) {
    return NULL;
  }
  return none_or_null(launch_direct(&b, stream));
}

enum pointer_argument {
  POINTER_SEQ_LENS,
  POINTER_REQ_POOL_INDICES,
  POINTER_REQ_TO_TOKEN,
  POINTER_POINTERS,
  POINTER_MAX_LEN,
  POINTER_TOPK,
  POINTER_PAGE_SIZE,
  POINTER_PAGE_COLUMNS,
  POINTER_PAGE_STRIDE,
  POINTER_EXTENT,
  POINTER_STREAM,
  POINTER_ARGUMENTS
};

static const struct signature pointer_signature = {
    "unified_decode_metadata_cuda",
    9,
    9,
    POINTER_ARGUMENTS,
    {"seq_lens", "req_pool_indices", "req_to_token", "backend_pointers", "max_len_allocated",
     "nsa_index_topk", "real_page_size", "real_page_table_cols", "real_page_table_dst_stride",
     "extent", "stream"}};

/* The widths of the tables that the addresses point at. */
static int bind_widths(struct binding *b, PyObject *const *values) {
  udm_decode_args *args = &b->args;
  int32_t allocated = 0;
  int64_t page_columns = 0;
  int64_t page_stride = 0;
  if (argument_int32("max_len_allocated", values[POINTER_MAX_LEN], 0, &allocated) < 0) return -1;
  args->page_table_stride = allocated;
  args->max_len = allocated < b->token_columns ? allocated : (int32_t)b->token_columns;
  if (args->real_page_size == 1) return 0;
  if (argument_int64("real_page_table_cols", values[POINTER_PAGE_COLUMNS], 0, &page_columns) < 0 ||
      argument_int64("real_page_table_dst_stride", values[POINTER_PAGE_STRIDE], 0, &page_stride) <
          0) {
    return -1;
  }
  const int64_t pages = pages_of(args);
  if (page_columns < pages || page_stride < pages) {
    PyErr_Format(PyExc_ValueError, "%s is %lld: %d tokens per request need at least %lld",
                 page_columns < pages ? "real_page_table_cols" : "real_page_table_dst_stride",
                 (long long)(page_columns < pages ? page_columns : page_stride), (int)args->max_len,
                 (long long)pages);
    return -1;
  }
  args->real_page_table_stride = page_stride;
  return 0;
}

static const struct tensor_name pointers_name = {"backend_pointers", -1, NULL};

/* The pointers lie in host memory, aligned or not, and travel as kernel parameters. */
static int bind_host_pointers(struct binding *b, const struct tensor *t) {
  const char *first = (const char *)(uintptr_t)tensor_data(t);
  udm_decode_args *args = &b->args;
  if (!first) return raise_about(PyExc_ValueError, &pointers_name, "is at address 0");
  for (int i = 0; i < args->num_backends; ++i) {
    CUdeviceptr *outputs = &args->backends[i].cache_seqlens; /* the first of the seven outputs */
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const int64_t element = o * t->view.strides[0] + i * t->view.strides[1];
      memcpy(&outputs[o], first + element * (int64_t)sizeof *outputs, sizeof *outputs);
    }
    if (args->real_page_size == 1) args->backends[i].real_page_table = 0;
  }
  return 0;
}

static int explain_pointers_shape(const struct tensor *t) {
  char shape[48] = "";
  if (t->view.ndim == 2) {
    PyOS_snprintf(shape, sizeof shape, " [%lld, %lld]", (long long)t->view.shape[0],
                  (long long)t->view.shape[1]);
  }
  return raise_about(PyExc_ValueError, &pointers_name,
                     "has %d dimensions%s: it must be of shape [%d, N], N 1 to %d",
                     (int)t->view.ndim, shape, UDM_OUTPUTS_PER_BACKEND, UDM_MAX_BACKENDS);
}

static int read_pointers(struct binding *b, PyObject *object, struct tensor *t) {
  if (tensor_read(object, &pointers_name, b->consumer.stream, t) < 0) return -1;
  if (!tensor_is_int(t, 64)) return tensor_explain_dtype(t, &pointers_name, "int64");
  if (t->view.ndim != 2 || t->view.shape[0] != UDM_OUTPUTS_PER_BACKEND || t->view.shape[1] < 1 ||
      t->view.shape[1] > UDM_MAX_BACKENDS) {
    return explain_pointers_shape(t);
  }
  b->args.num_backends = (int32_t)t->view.shape[1];
  return 0;
}

static int launch_pointers(struct binding *b, PyObject *object, CUstream stream) {
  struct tensor t;
  if (read_pointers(b, object, &t) < 0) return -1;
  if (t.view.device.type == DLPACK_CPU || t.view.device.type == DLPACK_CUDA_HOST) {
    if (bind_host_pointers(b, &t) < 0) return -1;
    return launch_direct(b, stream);
  }
  if (tensor_check_device(&t, &pointers_name, b->device) < 0) return -1;
  if (tensor_check_matrix(&t, &pointers_name, UDM_OUTPUTS_PER_BACKEND) < 0) return -1;
  return launch_table(b, tensor_data(&t), t.view.strides[0], stream);
}

PyObject *unified_decode_metadata_cuda(PyObject *module, PyObject *const *arguments,
                                       Py_ssize_t given, PyObject *keyword_names) {
  (void)module;
  PyObject *values[POINTER_ARGUMENTS];
  struct binding b;
  CUstream stream = NULL;
  if (arguments_parse(&pointer_signature, arguments, given, keyword_names, values) < 0) {
    return NULL;
  }
  binding_init(&b);
  if (stream_choose(values[POINTER_STREAM], &b.consumer) < 0) return NULL;
  if (bind_scalars(&b, values[POINTER_TOPK], values[POINTER_PAGE_SIZE]) < 0 ||
      bind_extent(&b, values[POINTER_EXTENT]) < 0 ||
      bind_batch(&b, values[POINTER_SEQ_LENS], values[POINTER_REQ_POOL_INDICES], &stream) < 0 ||
      bind_req_to_token(&b, values[POINTER_REQ_TO_TOKEN]) < 0 || bind_widths(&b, values) < 0) {
    return NULL;
  }
  return none_or_null(launch_pointers(&b, values[POINTER_POINTERS], stream));
}
