/*
 * options.h: the keyword arguments that Plan and the direct call share: the
 * mode and what belongs to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_OPTIONS_H
#define UDM_PYTHON_OPTIONS_H

#include "binding.h"

/* X(identifier, spelling) */
#define OPTION_TABLE(X)                         \
  X(EXTENT, "extent")                           \
  X(MAX_LEN, "max_len")                         \
  X(MODE, "mode")                               \
  X(TOKENS_PER_REQUEST, "tokens_per_request")   \
  X(NUM_TOKENS, "num_tokens")                   \
  X(INDEX_KPOOL, "index_kpool")                 \
  X(SEQLEN_OFFSET, "seqlen_offset")             \
  X(ROW_PER_REQUEST, "row_per_request")         \
  X(SKIP_PADDING, "skip_padding")               \
  X(EXTRA_OUTPUTS, "extra_outputs")             \
  X(CTX_LENS_OF_REQUEST, "ctx_lens_of_request") \
  X(SCHEDULE_VARIANT, "schedule_variant")       \
  X(SCHEDULE_NEXT_N, "schedule_next_n")

enum option {
#define OPTION_ENUMERATOR(identifier, spelling) OPTION_##identifier,
  OPTION_TABLE(OPTION_ENUMERATOR)
#undef OPTION_ENUMERATOR
      OPTIONS
};

/* For the names of a signature, at the place where its options begin. */
#define OPTION_SPELLING(identifier, spelling) spelling,
#define OPTION_NAMES OPTION_TABLE(OPTION_SPELLING)

/* Their text in the documentation of both. */
#define OPTION_SIGNATURE                                                                  \
  "extent='row', max_len=None, mode='decode', tokens_per_request=None, num_tokens=None, " \
  "index_kpool=1, seqlen_offset=0, row_per_request=False, skip_padding=False, "           \
  "extra_outputs=(), ctx_lens_of_request=False, schedule_variant=None, schedule_next_n=0"
extern const char option_doc[];

/* nsa_index_topk and real_page_size. */
int bind_scalars(struct binding *b, PyObject *nsa_index_topk, PyObject *real_page_size);

/* values: NULL per option that is not given; None is the default too. */
int bind_options(struct binding *b, PyObject *const values[OPTIONS]);

/* seqlen_offset, once the number of backends is known. */
int bind_offsets(struct binding *b, PyObject *offset);

/* Also for the call by addresses. */
int bind_extent(struct binding *b, PyObject *extent);

#endif
