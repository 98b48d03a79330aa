/*
 * binding.c: checks the inputs of a call and fills udm_decode_args from them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "binding.h"

#include <stddef.h>

static const struct tensor_name seq_lens_name = {"seq_lens", -1, NULL};
static const struct tensor_name req_pool_indices_name = {"req_pool_indices", -1, NULL};
static const struct tensor_name extend_lens_name = {"extend_lens", -1, NULL};
static const struct tensor_name req_to_token_name = {"req_to_token", -1, NULL};

void binding_init(struct binding *b) {
  static const struct binding empty = {.device = -1, .max_len = -1, .args = UDM_DECODE_ARGS_INIT};
  *b = empty;
}

static udm_int_type int_type(const struct tensor *t) {
  return t->view.dtype.bits == 64 ? UDM_INT64 : UDM_INT32;
}

static int read_input(struct binding *b, PyObject *object, const struct tensor_name *about,
                      struct tensor *t) {
  if (tensor_read(object, about, b->consumer.stream, t) < 0) return -1;
  if (tensor_check_device(t, about, b->device) < 0) return -1;
  b->device = t->view.device.id;
  if (b->device < 0) { /* -1 stands for "none yet" */
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

/* An empty batch has no tokens, and its extend_lens no address. */
static void bind_empty_batch(struct binding *b) {
  b->args.extend_lens = 0;
  b->args.extend_lens_type = UDM_INT32;
  b->args.num_tokens = 0;
  b->args.tokens_per_request = 1;
}

int bind_extend_lens(struct binding *b, PyObject *extend_lens) {
  struct tensor t;
  const bool is_given = extend_lens && !Py_IsNone(extend_lens);
  if (is_given != b->ragged) {
    return raise_about(PyExc_ValueError, &extend_lens_name,
                       is_given ? "needs num_tokens, the tokens that the outputs have room for, in "
                                  "place of tokens_per_request"
                                : "is missing: num_tokens asks for it");
  }
  if (!is_given) return 0;
  if (read_input(b, extend_lens, &extend_lens_name, &t) < 0) return -1;
  if (tensor_check_int32_or_int64(&t, &extend_lens_name) < 0) return -1;
  if (tensor_check_vector(&t, &extend_lens_name, b->args.batch_size) < 0) return -1;
  b->args.extend_lens = tensor_data(&t);
  b->args.extend_lens_type = int_type(&t);
  if (b->args.batch_size == 0) bind_empty_batch(b);
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
