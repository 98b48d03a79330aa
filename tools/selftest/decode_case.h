/*
 * decode_case.h: a decode case: one randomised instance of the decode metadata operation.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * It holds the arguments, the input tensors, and what every byte of the output
 * memory must be afterwards. Tensors are kept as offsets into two arenas, one
 * of inputs and one of outputs, so that the same case can be run in host
 * memory or be uploaded to a device. Between the output tensors lie guard
 * bands; the whole output arena is compared, so that a write outside the
 * stated columns shows.
 *
 * The same request gives the same case on every machine.
 *
 *     decode_case_request request = DECODE_CASE_REQUEST_INIT;
 *     request.seed = 7;
 *     decode_case *c = NULL;
 *     status = decode_case_create(&request, &c);
 *     // output_base: c->output_bytes, a copy of c->output_before
 *     // input_base:  c->input_bytes, made by decode_case_place_inputs()
 *     decode_case_bind(c, output_base, input_base, &args);
 *     // run, fetch the output arena
 *     if (!decode_case_matches(c, fetched, text, sizeof text)) puts(text);
 *     decode_case_destroy(c);
 */
#ifndef UDM_TOOLS_SELFTEST_DECODE_CASE_H
#define UDM_TOOLS_SELFTEST_DECODE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "udm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Both arenas must be placed on a boundary of this many bytes. */
#define DECODE_CASE_ALIGNMENT 64

/* An output tensor that is null. */
#define DECODE_CASE_NULL SIZE_MAX

/* Enough for any text that this file's functions write. */
#define DECODE_CASE_TEXT_SIZE 512

/* What to draw. A field set to DECODE_CASE_ANY is drawn; the others are taken as given. */
#define DECODE_CASE_ANY (-1)

struct decode_case_request {
  uint64_t seed;
  bool table; /* for the pointer-table call: up to 8 backends, more null tables */
  int32_t batch_size;
  int32_t max_len;
  int32_t num_backends;
  int32_t nsa_index_topk;
  int32_t real_page_size;
  int32_t extent;           /* udm_extent */
  int32_t batch_size_bound; /* bounds of what is drawn */
  int32_t max_len_bound;
  int64_t table_elements_bound; /* batch_size * max_len stays below, unless both are given */
  bool last_row_longest;        /* the last row is max_len long, all others next to nothing */
  int32_t aligned_percent;      /* of the tensors and strides: on 16-byte boundaries */
};

#define DECODE_CASE_REQUEST_INIT                                                                   \
  {                                                                                                \
    0, false, DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY, \
        DECODE_CASE_ANY, 320, 9000, 100000, false, DECODE_CASE_ANY                                 \
  }

struct decode_case {
  uint64_t seed;
  uint64_t random; /* the generator's state */
  bool table;
  bool last_row_longest;
  int32_t aligned_percent;
  udm_decode_args args; /* the scalars; its pointers are null until decode_case_bind() */
  int64_t num_reqs;     /* rows of req_to_token */

  unsigned char *input; /* the arena of inputs; the pointer array in it is left 0 */
  size_t input_bytes;
  size_t seq_lens_offset;
  size_t req_pool_indices_offset;
  size_t req_to_token_offset;
  size_t backend_pointers_offset; /* int64[7][backend_pointers_stride] */
  int64_t backend_pointers_stride;

  unsigned char *output_before;   /* what the arena of outputs holds before the call */
  unsigned char *output_expected; /* and after it */
  size_t output_bytes;
  size_t output_offsets[UDM_MAX_BACKENDS][UDM_OUTPUTS_PER_BACKEND];
};

/*
 * Draws a case. Errors: INVALID_ARGUMENT (a request out of range),
 * OUT_OF_MEMORY, or what udm_decode_metadata_reference() says.
 */
udm_status decode_case_create(const struct decode_case_request *request, struct decode_case **out);

/* NULL is allowed. */
void decode_case_destroy(struct decode_case *c);

/*
 * The next decode step of the same tensors: draws new lengths and rows. What
 * the outputs were expected to hold becomes what they hold before the call.
 * Errors: as decode_case_create().
 */
udm_status decode_case_next_step(struct decode_case *c);

/* The arguments for arenas placed at these addresses, of the host or of a device. */
void decode_case_bind(const struct decode_case *c, CUdeviceptr output_base, CUdeviceptr input_base,
                      udm_decode_args *args);

/*
 * Copies the arena of inputs to `inputs` (host memory, input_bytes), with the
 * pointer table filled for an arena of outputs at output_base.
 */
void decode_case_place_inputs(const struct decode_case *c, CUdeviceptr output_base, void *inputs);

/*
 * Whether an arena of outputs (fetched to host memory) is what it must be in
 * every byte. If not, text says where the first difference lies.
 */
bool decode_case_matches(const struct decode_case *c, const void *outputs, char *text,
                         size_t text_size);

/* The case in a line: its seed and its arguments. */
void decode_case_describe(const struct decode_case *c, char *text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
