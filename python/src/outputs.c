/*
 * outputs.c: checks the output tensors of the metadata objects and fills
 * udm_decode_args from them: seven outputs per backend, and those that
 * extra_outputs names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>

#include "binding.h"
#include "names.h"

enum unit { OF_REQUESTS, OF_TOKENS, TABLE };

struct output {
  PyObject **attribute;
  PyObject **later; /* the spelling of newer servers, or NULL */
  enum unit unit;   /* elements, or rows of a table */
  int extra;        /* elements beyond that */
};

static const struct output outputs[UDM_OUTPUTS_PER_BACKEND] = {
    [UDM_OUTPUT_CACHE_SEQLENS] = {&name.cache_seqlens_int32, NULL, OF_REQUESTS, 0},
    [UDM_OUTPUT_CU_SEQLENS_K] = {&name.cu_seqlens_k, NULL, OF_REQUESTS, 1},
    [UDM_OUTPUT_PAGE_TABLE_1] = {&name.page_table_1, NULL, TABLE, 0},
    [UDM_OUTPUT_NSA_CACHE_SEQLENS] = {&name.nsa_cache_seqlens_int32, &name.dsa_cache_seqlens_int32,
                                      OF_TOKENS, 0},
    [UDM_OUTPUT_NSA_CU_SEQLENS_K] = {&name.nsa_cu_seqlens_k, &name.dsa_cu_seqlens_k, OF_TOKENS, 1},
    [UDM_OUTPUT_REAL_PAGE_TABLE] = {&name.real_page_table, NULL, TABLE, 0},
    [UDM_OUTPUT_SEQLENS_EXPANDED] = {&name.nsa_seqlens_expanded, &name.dsa_seqlens_expanded,
                                     OF_TOKENS, 0}};

/* The spelling found last, tried first: a server uses one, and a failed attribute lookup is slow.
 */
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

/* One backend's metadata, and how much room its outputs need. */
struct metadata {
  PyObject *object;
  int backend;
  int64_t requests; /* -1: as many as its cache_seqlens_int32 holds */
  int64_t tokens;
  struct page_table *tables; /* two */
  PyObject *keep_alive;
};

static struct tensor_name name_of(const struct binding *b, int backend, const char *attribute) {
  return (struct tensor_name){b->backends_argument, backend, attribute};
}

static int64_t tokens_of(const struct binding *b, int64_t requests) {
  if (b->ragged) return b->args.num_tokens;
  return b->args.tokens_per_request > 1 ? requests * b->args.tokens_per_request : requests;
}

/* Returns a new reference. */
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

static int read_output(struct binding *b, PyObject *value, const struct tensor_name *about,
                       struct tensor *t) {
  if (tensor_read(value, about, b->consumer.stream, t) < 0) return -1;
  if (tensor_check_device(t, about, b->device) < 0) return -1;
  if (tensor_check_int32(t, about) < 0) return -1;
  return tensor_check_writable(t, about);
}

/* For the library, address 0 means that the output is not wanted. Empty tensors may have it. */
static int set_pointer(const struct tensor *t, const struct tensor_name *about, int64_t elements,
                       CUdeviceptr *pointer) {
  *pointer = tensor_data(t);
  if (*pointer || elements == 0) return 0;
  return raise_about(PyExc_ValueError, about, "is at address 0: None leaves an output out");
}

static int bind_table(const struct binding *b, const struct metadata *m, const struct tensor *t,
                      const struct tensor_name *about, int kind, CUdeviceptr *pointer) {
  const int64_t rows = b->args.flags & UDM_ROW_PER_REQUEST ? m->requests : m->tokens;
  if (tensor_check_matrix(t, about, rows) < 0) return -1;
  m->tables[kind] = (struct page_table){true, rows > 1, t->view.shape[1], t->view.strides[0]};
  return set_pointer(t, about, rows * t->view.shape[1], pointer);
}

/* The first vector decides how many requests a plan may get. */
static void count_requests(const struct binding *b, const struct tensor *t, struct metadata *m) {
  m->requests = t->view.ndim == 1 && t->view.shape[0] > 0 ? t->view.shape[0] : 0;
  m->tokens = tokens_of(b, m->requests);
}

static int bind_output(struct binding *b, PyObject *value, const struct tensor_name *about, int o,
                       struct metadata *m, CUdeviceptr *pointer) {
  const bool is_unused = o == UDM_OUTPUT_REAL_PAGE_TABLE && b->args.real_page_size == 1;
  *pointer = 0;
  if (is_unused) return 0;
  if (Py_IsNone(value)) {
    if (m->requests >= 0) return 0;
    PyErr_Format(PyExc_ValueError,
                 "max_batch_size is missing: %s[0].cache_seqlens_int32, whose length it would be, "
                 "is None",
                 b->backends_argument);
    return -1;
  }
  struct tensor t;
  if (read_output(b, value, about, &t) < 0) return -1;
  if (m->requests < 0) count_requests(b, &t, m);
  if (outputs[o].unit == TABLE) {
    return bind_table(b, m, &t, about, o == UDM_OUTPUT_REAL_PAGE_TABLE, pointer);
  }
  const int64_t count = (outputs[o].unit == OF_TOKENS ? m->tokens : m->requests) + outputs[o].extra;
  if (tensor_check_vector(&t, about, count) < 0) return -1;
  return set_pointer(&t, about, count, pointer);
}

/* A vector, or a matrix without gaps. */
static int check_elements(const struct tensor *t, const struct tensor_name *about, int64_t count) {
  if (t->view.ndim != 2) return tensor_check_vector(t, about, count);
  const int64_t rows = t->view.shape[0], columns = t->view.shape[1];
  if (tensor_check_matrix(t, about, 0) < 0) return -1;
  if (rows > 1 && t->view.strides[0] != columns) {
    return raise_about(PyExc_ValueError, about,
                       "has a row stride of %lld: its %lld columns must "
                       "lie without gaps",
                       (long long)t->view.strides[0], (long long)columns);
  }
  if (columns > 0 && rows >= (count + columns - 1) / columns) return 0;
  return count == 0 ? 0
                    : raise_about(PyExc_ValueError, about,
                                  "is of shape [%lld, %lld]: it needs at least %lld elements",
                                  (long long)rows, (long long)columns, (long long)count);
}

/* The tensor says for how many SMs it is. */
static int check_schedule(struct binding *b, const struct tensor *t,
                          const struct tensor_name *about) {
  if (tensor_check_matrix(t, about, 2) < 0) return -1;
  if (t->view.shape[1] != 2 || t->view.strides[0] != 2 || t->view.shape[0] > INT32_MAX) {
    return raise_about(PyExc_ValueError, about,
                       "must be contiguous and of shape [SMs + 1, 2], not [%lld, %lld]",
                       (long long)t->view.shape[0], (long long)t->view.shape[1]);
  }
  const int32_t num_sms = (int32_t)t->view.shape[0] - 1;
  if (b->args.num_sms && b->args.num_sms != num_sms) {
    return raise_about(PyExc_ValueError, about,
                       "is for %d SMs, but that of a backend before it for %d: they must be equal",
                       (int)num_sms, (int)b->args.num_sms);
  }
  b->args.num_sms = num_sms;
  return 0;
}

/* SGLang's context lengths are a view of lengths that are written already. */
static bool is_written_twice(const struct binding *b, int backend, CUdeviceptr ctx_lens) {
  const udm_backend_outputs *out = &b->args.backends[backend];
  const bool is_decode = b->args.mode == UDM_MODE_DECODE;
  if (is_decode && ctx_lens == out->cache_seqlens) return true;
  return ctx_lens == out->seqlens_expanded &&
         (is_decode || !(b->args.flags & UDM_CTX_LENS_OF_REQUEST));
}

static int bind_extra_output(struct binding *b, PyObject *value, const struct tensor_name *about,
                             int o, const struct metadata *m) {
  CUdeviceptr *pointer = &b->args.extra[m->backend].cu_seqlens_q + o; /* of three */
  int64_t count = 1;
  struct tensor t;
  if (Py_IsNone(value)) return 0;
  if (read_output(b, value, about, &t) < 0) return -1;
  if (o == EXTRA_SCHEDULE) {
    if (check_schedule(b, &t, about) < 0) return -1;
  } else {
    count = o == EXTRA_CU_SEQLENS_Q ? m->requests + 1 : m->tokens;
    if (check_elements(&t, about, count) < 0) return -1;
  }
  if (set_pointer(&t, about, count, pointer) < 0) return -1;
  if (o == EXTRA_CTX_LENS && is_written_twice(b, m->backend, *pointer)) *pointer = 0;
  return 0;
}

static int bind_extra(struct binding *b, const struct metadata *m) {
  for (int o = 0; o < EXTRA_OUTPUTS; ++o) {
    if (!(b->extra_outputs & 1U << o)) continue;
    const struct tensor_name about = name_of(b, m->backend, extra_attributes[o]);
    PyObject *value = PyObject_GetAttrString(m->object, extra_attributes[o]);
    if (!value) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
      PyErr_Clear();
      return raise_about(PyExc_AttributeError, &about, "is missing, and extra_outputs names it");
    }
    int result = bind_extra_output(b, value, &about, o, m);
    if (m->keep_alive && result == 0) result = PyList_Append(m->keep_alive, value);
    Py_DECREF(value);
    if (result < 0) return -1;
  }
  return 0;
}

static int bind_backend(struct binding *b, struct metadata *m) {
  CUdeviceptr *first = &b->args.backends[m->backend].cache_seqlens; /* of seven */
  PyObject *cache_seqlens = NULL;
  int result = 0;
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND && result == 0; ++o) {
    const struct tensor_name about = name_of(b, m->backend, output_attributes[o]);
    PyObject *value = get_output(m->object, &about, o);
    if (!value) {
      result = -1;
    } else if (o == UDM_OUTPUT_SEQLENS_EXPANDED && value == cache_seqlens &&
               b->args.mode == UDM_MODE_DECODE) {
      first[o] = first[UDM_OUTPUT_CACHE_SEQLENS]; /* one tensor for both, as in SGLang's decode:
                                                     read once */
    } else {
      result = bind_output(b, value, &about, o, m, first + o);
    }
    if (m->keep_alive && result == 0) result = PyList_Append(m->keep_alive, value);
    if (o == UDM_OUTPUT_CACHE_SEQLENS) {
      cache_seqlens = value; /* released below: no other object gets its address until then */
    } else {
      Py_XDECREF(value);
    }
  }
  Py_XDECREF(cache_seqlens);
  return result < 0 || !b->extra_outputs ? result : bind_extra(b, m);
}

/* The kernel takes one row stride for all tables of a kind. */
static int bind_stride(const struct binding *b, const struct page_tables *tables, int kind,
                       int64_t columns, int64_t *stride) {
  int first = -1;
  *stride = 0; /* no backend has this table */
  for (int i = 0; i < b->args.num_backends; ++i) {
    const struct page_table *table = &tables->of[i][kind];
    if (!table->written) continue;
    if (first < 0) *stride = columns; /* of a single row, any will do */
    const struct tensor_name about = name_of(
        b, i, output_attributes[kind == 0 ? UDM_OUTPUT_PAGE_TABLE_1 : UDM_OUTPUT_REAL_PAGE_TABLE]);
    if (table->columns < columns) {
      return raise_about(PyExc_ValueError, &about,
                         "has %lld columns: it needs at least %lld for %d tokens per request",
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
  return 0;
}

/* Without a max_len of the caller: what req_to_token and the first page_table_1 have room for. */
static int bind_max_len(struct binding *b, const struct page_tables *tables) {
  if (b->max_len > b->token_columns) {
    const struct tensor_name about = {"req_to_token", -1, NULL};
    return raise_about(PyExc_ValueError, &about, "has %lld columns, less than max_len, %lld",
                       (long long)b->token_columns, (long long)b->max_len);
  }
  int64_t columns = b->max_len < 0 ? b->token_columns : b->max_len;
  for (int i = 0; b->max_len < 0 && i < b->args.num_backends; ++i) {
    const struct page_table *table = &tables->of[i][0];
    if (!table->written) continue;
    if (table->columns < 0) {
      const struct tensor_name about = name_of(b, i, output_attributes[UDM_OUTPUT_PAGE_TABLE_1]);
      return raise_about(PyExc_ValueError, &about, "has %lld columns: it must have 0 or more",
                         (long long)table->columns);
    }
    if (table->columns < columns) columns = table->columns;
    break;
  }
  b->args.max_len = columns < INT32_MAX ? (int32_t)columns : INT32_MAX;
  return 0;
}

static int bind_tables(struct binding *b, const struct page_tables *tables) {
  udm_decode_args *args = &b->args;
  if (bind_max_len(b, tables) < 0) return -1;
  if (bind_stride(b, tables, 0, args->max_len, &args->page_table_stride) < 0) return -1;
  return bind_stride(b, tables, 1, pages_of(args), &args->real_page_table_stride);
}

int bind_backends(struct binding *b, PyObject *metadata_list, int64_t *rows, PyObject *keep_alive) {
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
    /* a borrowed reference would not do: an attribute may be code that changes the list */
    PyObject *object =
        is_list ? PyList_GetItem(metadata_list, i) : PyTuple_GetItem(metadata_list, i);
    if (!object) return -1;
    struct metadata m = {Py_NewRef(object), i,         *rows, tokens_of(b, *rows),
                         tables.of[i],      keep_alive};
    const int result = bind_backend(b, &m);
    Py_DECREF(object);
    if (result < 0) return -1;
    *rows = m.requests;
  }
  return bind_tables(b, &tables);
}
