/*
 * binding.c: checks the tensors of a call and fills udm_decode_args from them:
 * the inputs, and seven outputs per backend.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "binding.h"

#include <stddef.h>
#include <string.h>

#include "arguments.h"
#include "names.h"

/* Indexed by enum udm_output. */
struct output {
  PyObject **attribute;
  PyObject **later; /* how newer servers spell it */
  int extra;        /* elements beyond one a request */
};

static const struct output outputs[UDM_OUTPUTS_PER_BACKEND] = {
    {&name.cache_seqlens_int32, NULL, 0},
    {&name.cu_seqlens_k, NULL, 1},
    {&name.page_table_1, NULL, 0},
    {&name.nsa_cache_seqlens_int32, &name.dsa_cache_seqlens_int32, 0},
    {&name.nsa_cu_seqlens_k, &name.dsa_cu_seqlens_k, 1},
    {&name.real_page_table, NULL, 0},
    {&name.nsa_seqlens_expanded, &name.dsa_seqlens_expanded, 0}};

/* Which spelling was there last: a server uses one, and a failed lookup is slow. */
static bool uses_later[UDM_OUTPUTS_PER_BACKEND];

struct page_table {
  bool written;
  bool has_rows; /* more than one is used, so that the stride matters */
  int64_t columns;
  int64_t stride;
};

struct page_tables {
  struct page_table of[UDM_MAX_BACKENDS][2]; /* page_table_1, real_page_table */
};

static struct tensor_name name_of(const struct binding *b, int backend, int o) {
  return (struct tensor_name){b->backends_argument, backend, output_attributes[o]};
}

/* A new reference. */
static PyObject *get_output(PyObject *metadata, const struct tensor_name *about, int o) {
  const struct output *out = &outputs[o];
  PyObject *value = PyObject_GetAttr(metadata, uses_later[o] ? *out->later : *out->attribute);
  if (value || !PyErr_ExceptionMatches(PyExc_AttributeError)) return value;
  PyErr_Clear();
  if (out->later) {
    value = PyObject_GetAttr(metadata, uses_later[o] ? *out->attribute : *out->later);
    if (value) uses_later[o] = !uses_later[o];
    if (value || !PyErr_ExceptionMatches(PyExc_AttributeError)) return value;
    PyErr_Clear();
  }
  raise_about(PyExc_AttributeError, about, "is missing%s",
              out->later ? " (and so is its later spelling, dsa_...)" : "");
  return NULL;
}

static int bind_table(const struct tensor *t, const struct tensor_name *about, int64_t rows,
                      struct page_table *table) {
  if (tensor_check_matrix(t, about, rows) < 0) return -1;
  *table = (struct page_table){true, rows > 1, t->view.shape[1], t->view.strides[0]};
  return 0;
}

/* Nothing to write: page_table_1 may be None; real_page_table is not looked at for pages of 1. */
static bool is_left_out(const struct binding *b, PyObject *value, int o) {
  return (o == UDM_OUTPUT_PAGE_TABLE_1 && Py_IsNone(value)) ||
         (o == UDM_OUTPUT_REAL_PAGE_TABLE && b->args.real_page_size == 1);
}

static int bind_output(struct binding *b, PyObject *value, const struct tensor_name *about, int o,
                       int64_t *rows, struct page_table tables[2], CUdeviceptr *pointer) {
  *pointer = 0;
  if (is_left_out(b, value, o)) return 0;
  struct tensor t;
  if (tensor_read(value, about, b->consumer.stream, &t) < 0) return -1;
  if (tensor_check_device(&t, about, b->device) < 0) return -1;
  if (tensor_check_int32(&t, about) < 0) return -1;
  if (tensor_check_writable(&t, about) < 0) return -1;
  *pointer = tensor_data(&t);
  if (o == UDM_OUTPUT_PAGE_TABLE_1) return bind_table(&t, about, *rows, &tables[0]);
  if (o == UDM_OUTPUT_REAL_PAGE_TABLE) return bind_table(&t, about, *rows, &tables[1]);
  if (*rows < 0) { /* the first vector decides */
    *rows = t.view.ndim == 1 && t.view.shape[0] > 0 ? t.view.shape[0] : 0;
  }
  return tensor_check_vector(&t, about, *rows + outputs[o].extra);
}

static int bind_backend(struct binding *b, PyObject *metadata, int backend, int64_t *rows,
                        struct page_table tables[2], PyObject *keep_alive) {
  CUdeviceptr *first = &b->args.backends[backend].cache_seqlens; /* of seven */
  struct tensor_name about = name_of(b, backend, UDM_OUTPUT_CACHE_SEQLENS);
  PyObject *cache_seqlens = NULL;
  int result = 0;
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND && result == 0; ++o) {
    about.attribute = output_attributes[o];
    PyObject *value = get_output(metadata, &about, o);
    if (!value) {
      result = -1;
    } else if (o == UDM_OUTPUT_SEQLENS_EXPANDED && value == cache_seqlens) {
      first[o] = first[UDM_OUTPUT_CACHE_SEQLENS]; /* one tensor for both, as in SGLang's decode:
                                                     read once */
    } else {
      result = bind_output(b, value, &about, o, rows, tables, first + o);
    }
    if (keep_alive && result == 0) result = PyList_Append(keep_alive, value);
    if (o == UDM_OUTPUT_CACHE_SEQLENS) {
      cache_seqlens = value; /* released below: no other object gets its address until then */
    } else {
      Py_XDECREF(value);
    }
  }
  Py_XDECREF(cache_seqlens);
  return result;
}

/* One row stride for all tables of a kind: the kernel takes no other. */
static int bind_stride(const struct binding *b, const struct page_tables *tables, int kind,
                       int64_t columns, int64_t *stride) {
  int first = -1;
  for (int i = 0; i < b->args.num_backends; ++i) {
    const struct page_table *table = &tables->of[i][kind];
    if (!table->written) continue;
    const struct tensor_name about =
        name_of(b, i, kind == 0 ? UDM_OUTPUT_PAGE_TABLE_1 : UDM_OUTPUT_REAL_PAGE_TABLE);
    if (table->columns < columns) {
      return raise_about(PyExc_ValueError, &about,
                         "has %lld columns: it needs at least %lld for %d tokens a request",
                         (long long)table->columns, (long long)columns, (int)b->args.max_len);
    }
    if (!table->has_rows) continue;
    if (table->stride < columns) {
      return raise_about(PyExc_ValueError, &about, "has rows that overlap: its row stride is %lld",
                         (long long)table->stride);
    }
    if (first >= 0 && table->stride != *stride) {
      return raise_about(PyExc_ValueError, &about,
                         "has a row stride of %lld elements, but that of backend %d has %lld: "
                         "they must be equal",
                         (long long)table->stride, first, (long long)*stride);
    }
    first = first >= 0 ? first : i;
    *stride = table->stride;
  }
  if (first < 0) *stride = columns;
  return 0;
}

/* All that req_to_token and the first page_table_1 have room for, when nobody has said less. */
static int bind_max_len(struct binding *b, const struct page_tables *tables, int64_t max_len) {
  if (max_len > b->token_columns) {
    const struct tensor_name about = {"req_to_token", -1, NULL};
    return raise_about(PyExc_ValueError, &about, "has %lld columns, less than max_len, %lld",
                       (long long)b->token_columns, (long long)max_len);
  }
  int64_t columns = max_len < 0 ? b->token_columns : max_len;
  for (int i = 0; max_len < 0 && i < b->args.num_backends; ++i) {
    const struct page_table *table = &tables->of[i][0];
    if (!table->written) continue;
    if (table->columns < 0) {
      const struct tensor_name about = name_of(b, i, UDM_OUTPUT_PAGE_TABLE_1);
      return raise_about(PyExc_ValueError, &about, "has %lld columns: it must have 0 or more",
                         (long long)table->columns);
    }
    if (table->columns < columns) columns = table->columns;
    break;
  }
  b->args.max_len = columns < INT32_MAX ? (int32_t)columns : INT32_MAX;
  return 0;
}

static int bind_tables(struct binding *b, const struct page_tables *tables, int64_t max_len) {
  udm_decode_args *args = &b->args;
  if (bind_max_len(b, tables, max_len) < 0) return -1;
  if (bind_stride(b, tables, 0, args->max_len, &args->page_table_stride) < 0) return -1;
  return bind_stride(b, tables, 1, pages_of(args), &args->real_page_table_stride);
}

int bind_backends(struct binding *b, PyObject *metadata_list, int64_t *rows, int64_t max_len,
                  PyObject *keep_alive) {
  const bool is_list = PyList_Check(metadata_list);
  if (!is_list && !PyTuple_Check(metadata_list)) {
    PyErr_Format(PyExc_TypeError, "%s must be a list or a tuple, not %R", b->backends_argument,
                 (PyObject *)Py_TYPE(metadata_list));
    return -1;
  }
  const Py_ssize_t count = is_list ? PyList_Size(metadata_list) : PyTuple_Size(metadata_list);
  if (count < 1 || count > UDM_MAX_DIRECT_BACKENDS) {
    PyErr_Format(PyExc_ValueError, "%s has %zd backends: it must have 1 to %d",
                 b->backends_argument, count, UDM_MAX_DIRECT_BACKENDS);
    return -1;
  }
  b->args.num_backends = (int32_t)count;
  struct page_tables tables;
  for (int i = 0; i < (int)count; ++i) {
    tables.of[i][0].written = tables.of[i][1].written = false;
    /* borrowed, but an attribute may be code that changes the list */
    PyObject *metadata =
        is_list ? PyList_GetItem(metadata_list, i) : PyTuple_GetItem(metadata_list, i);
    if (!metadata) return -1;
    Py_INCREF(metadata);
    const int result = bind_backend(b, metadata, i, rows, tables.of[i], keep_alive);
    Py_DECREF(metadata);
    if (result < 0) return -1;
  }
  return bind_tables(b, &tables, max_len);
}

static const struct tensor_name seq_lens_name = {"seq_lens", -1, NULL};
static const struct tensor_name req_pool_indices_name = {"req_pool_indices", -1, NULL};
static const struct tensor_name req_to_token_name = {"req_to_token", -1, NULL};

void binding_init(struct binding *b) {
  static const udm_decode_args empty = UDM_DECODE_ARGS_INIT;
  memcpy(&b->args, &empty, offsetof(udm_decode_args, backends));
  b->device = -1;
  b->token_columns = 0;
  b->backends_argument = NULL;
  b->consumer = (struct stream_choice){false, NULL};
}

void binding_copy(const struct binding *from, struct binding *to) {
  const size_t backends = (size_t)from->args.num_backends * sizeof from->args.backends[0];
  memcpy(to, from, offsetof(struct binding, args.backends) + backends);
}

static udm_int_type int_type(const struct tensor *t) {
  return t->view.dtype.bits == 64 ? UDM_INT64 : UDM_INT32;
}

static int read_input(struct binding *b, PyObject *object, const struct tensor_name *about,
                      struct tensor *t) {
  if (tensor_read(object, about, b->consumer.stream, t) < 0) return -1;
  if (tensor_check_device(t, about, b->device) < 0) return -1;
  b->device = t->view.device.id;
  if (b->device < 0) { /* also what stands for "none yet" */
    return raise_about(PyExc_ValueError, about,
                       "is on CUDA device %d: its number must be 0 or more", (int)b->device);
  }
  return 0;
}

int bind_batch(struct binding *b, PyObject *seq_lens, PyObject *req_pool_indices,
               CUstream *stream) {
  struct tensor t;
  if (read_input(b, seq_lens, &seq_lens_name, &t) < 0) return -1;
  if (tensor_check_int32_or_int64(&t, &seq_lens_name) < 0) return -1;
  const int64_t batch_size = t.view.ndim == 1 ? t.view.shape[0] : 0;
  if (tensor_check_vector(&t, &seq_lens_name, batch_size) < 0) return -1;
  if (batch_size < 0 || batch_size > INT32_MAX) {
    return raise_about(PyExc_ValueError, &seq_lens_name,
                       "has %lld elements: it must have 0 to 2^31 - 1", (long long)batch_size);
  }
  if (stream_current(seq_lens, &t, &b->consumer, stream) < 0) return -1;
  b->args.seq_lens = tensor_data(&t);
  b->args.seq_lens_type = int_type(&t);
  b->args.batch_size = (int32_t)batch_size;

  if (read_input(b, req_pool_indices, &req_pool_indices_name, &t) < 0) return -1;
  if (tensor_check_int32_or_int64(&t, &req_pool_indices_name) < 0) return -1;
  if (tensor_check_vector(&t, &req_pool_indices_name, batch_size) < 0) return -1;
  b->args.req_pool_indices = tensor_data(&t);
  b->args.req_pool_indices_type = int_type(&t);
  return 0;
}

int bind_req_to_token(struct binding *b, PyObject *req_to_token) {
  struct tensor t;
  if (read_input(b, req_to_token, &req_to_token_name, &t) < 0) return -1;
  if (tensor_check_int32(&t, &req_to_token_name) < 0) return -1;
  if (tensor_check_matrix(&t, &req_to_token_name, 0) < 0) return -1;
  if (t.view.shape[1] < 0) {
    return raise_about(PyExc_ValueError, &req_to_token_name,
                       "has %lld columns: it must have 0 or more", (long long)t.view.shape[1]);
  }
  if (t.view.shape[0] > 1 && t.view.strides[0] < t.view.shape[1]) {
    return raise_about(PyExc_ValueError, &req_to_token_name,
                       "has a row stride of %lld elements, less than its %lld columns",
                       (long long)t.view.strides[0], (long long)t.view.shape[1]);
  }
  b->args.req_to_token = tensor_data(&t);
  b->args.req_to_token_stride = t.view.shape[0] > 1 ? t.view.strides[0] : t.view.shape[1];
  b->token_columns = t.view.shape[1];
  return 0;
}

static int bind_extent(struct binding *b, PyObject *extent) {
  if (!extent) return 0;
  if (PyUnicode_Check(extent)) {
    if (PyUnicode_CompareWithASCIIString(extent, "row") == 0) return 0;
    if (PyUnicode_CompareWithASCIIString(extent, "batch_max") == 0) {
      b->args.extent = UDM_EXTENT_BATCH_MAX;
      return 0;
    }
  }
  PyErr_Format(PyExc_ValueError, "extent is %R: it must be 'row' or 'batch_max'", extent);
  return -1;
}

int bind_scalars(struct binding *b, PyObject *nsa_index_topk, PyObject *real_page_size,
                 PyObject *extent) {
  udm_decode_args *args = &b->args;
  if (argument_int32("nsa_index_topk", nsa_index_topk, 0, &args->nsa_index_topk) < 0) return -1;
  if (argument_int32("real_page_size", real_page_size, 1, &args->real_page_size) < 0) return -1;
  return bind_extent(b, extent);
}
