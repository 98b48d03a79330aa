/*
 * backends.c: binds the outputs, seven attributes of each backend's metadata.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "binding.h"
#include "names.h"
#include "wording.h"

enum { CACHE_SEQLENS, PAGE_TABLE_1 = 2, REAL_PAGE_TABLE = 5, SEQLENS_EXPANDED = 6 };

/* In the order of udm_backend_outputs. */
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

/* Which spelling was there last: a server uses one, and a failed look-up is slow. */
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
  return (o == PAGE_TABLE_1 && Py_IsNone(value)) ||
         (o == REAL_PAGE_TABLE && b->args.real_page_size == 1);
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
  if (o == PAGE_TABLE_1) return bind_table(&t, about, *rows, &tables[0]);
  if (o == REAL_PAGE_TABLE) return bind_table(&t, about, *rows, &tables[1]);
  if (*rows < 0) { /* the first vector decides */
    *rows = t.view.ndim == 1 && t.view.shape[0] > 0 ? t.view.shape[0] : 0;
  }
  return tensor_check_vector(&t, about, *rows + outputs[o].extra);
}

static int bind_backend(struct binding *b, PyObject *metadata, int backend, int64_t *rows,
                        struct page_table tables[2], PyObject *keep_alive) {
  CUdeviceptr *first = &b->args.backends[backend].cache_seqlens; /* of seven */
  struct tensor_name about = name_of(b, backend, CACHE_SEQLENS);
  PyObject *cache_seqlens = NULL;
  int result = 0;
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND && result == 0; ++o) {
    about.attribute = output_attributes[o];
    PyObject *value = get_output(metadata, &about, o);
    if (!value) {
      result = -1;
    } else if (o == SEQLENS_EXPANDED && value == cache_seqlens) {
      first[o] = first[CACHE_SEQLENS]; /* one tensor for both, as in SGLang's decode: read once */
    } else {
      result = bind_output(b, value, &about, o, rows, tables, first + o);
    }
    if (keep_alive && result == 0) result = PyList_Append(keep_alive, value);
    if (o == CACHE_SEQLENS) {
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
    const struct tensor_name about = name_of(b, i, kind == 0 ? PAGE_TABLE_1 : REAL_PAGE_TABLE);
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
      const struct tensor_name about = name_of(b, i, PAGE_TABLE_1);
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
