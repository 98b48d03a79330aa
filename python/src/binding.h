/*
 * binding.h: from tensors to udm_decode_args. Checks each tensor, and names
 * the one that is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_BINDING_H
#define UDM_PYTHON_BINDING_H

#include "stream.h"
#include "tensor.h"
#include "udm.h"

struct binding {
  int32_t device;         /* of the first tensor bound; all others must be on it; -1: none yet */
  int64_t token_columns;  /* of req_to_token */
  int64_t max_len;        /* that the caller asked for; -1: see bind_backends() */
  bool ragged;            /* extend_lens gives the tokens per request, for args.num_tokens in all */
  unsigned extra_outputs; /* those to write: bits by enum extra_output */
  const char *backends_argument; /* by which the metadata objects came; NULL: addresses came */
  struct stream_choice consumer; /* see tensor_read */
  udm_decode_args args;
};

void binding_init(struct binding *b);

/* Columns of real_page_table for max_len tokens. */
static inline int64_t pages_of(const udm_decode_args *args) {
  /* neither is negative; 32 bits are enough, and divide faster */
  return ((uint32_t)args->max_len + (uint32_t)args->real_page_size - 1) /
         (uint32_t)args->real_page_size;
}

/* seq_lens and req_pool_indices. The batch size is the length of seq_lens. */
int bind_batch(struct binding *b, PyObject *seq_lens, PyObject *req_pool_indices, CUstream *stream);

/* After bind_batch(). NULL or None: not given, which must be right for the mode. */
int bind_extend_lens(struct binding *b, PyObject *extend_lens);

int bind_req_to_token(struct binding *b, PyObject *req_to_token);

/*
 * The outputs for up to rows requests, from a list or tuple of metadata
 * objects; rows < 0: as many as the first one's cache_seqlens_int32 holds.
 * b->max_len < 0: as many columns as both page_table_1 and req_to_token have.
 * keep_alive: NULL, or a list to which every tensor is appended.
 */
int bind_backends(struct binding *b, PyObject *metadata_list, int64_t *rows, PyObject *keep_alive);

#endif
