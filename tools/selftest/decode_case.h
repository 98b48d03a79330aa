/*
 * decode_case.h: a decode case: one random instance of the decode metadata operation.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A case holds the arguments, the input tensors, and what every byte of the output memory must be
 * afterwards. Tensors are offsets into two arenas, one for inputs and one for outputs, so that the
 * same case can run in host memory or on a device. Guard bands lie between the output tensors, and
 * the comparison covers the whole output arena, so that it finds a write outside the stated
 * columns.
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

/* The offset of an output tensor that is null. */
#define DECODE_CASE_NULL SIZE_MAX

/* Enough for any text that this file's functions write. */
#define DECODE_CASE_TEXT_SIZE 1024

/* A field of a request with this value is drawn. */
#define DECODE_CASE_ANY (-1)

/* The mode of a request for the seven outputs alone: no field behind `backends` is set. */
#define DECODE_CASE_DECODE_ONLY (-2)

/* Outputs of a backend: those of udm_output, then those of udm_extra_outputs. */
enum {
  DECODE_CASE_CU_SEQLENS_Q = UDM_OUTPUTS_PER_BACKEND,
  DECODE_CASE_CTX_LENS,
  DECODE_CASE_SCHEDULE,
  DECODE_CASE_OUTPUTS
};

struct decode_case_request {
  uint64_t seed;
  bool table;   /* for the pointer-table call */
  int32_t mode; /* a udm_mode with all that goes with it, or DECODE_CASE_DECODE_ONLY */
  int32_t tokens_per_request; /* of verify and extend; 0: ragged, from extend_lens */
  int32_t batch_size;
  int32_t max_len;
  int32_t num_backends;
  int32_t nsa_index_topk;
  int32_t real_page_size;
  int32_t extent;           /* udm_extent */
  int32_t batch_size_bound; /* upper bounds of the drawn sizes */
  int32_t max_len_bound;
  int64_t table_elements_bound; /* of a table: its rows times max_len, unless both are given */
  bool last_row_longest;        /* the last row is max_len long, the others at most 2 */
  int32_t aligned_percent;      /* how many tensors and strides are multiples of 16 bytes */
};

#define DECODE_CASE_REQUEST_INIT                                                               \
  {                                                                                            \
    0, false, DECODE_CASE_DECODE_ONLY, DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY,      \
        DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY, DECODE_CASE_ANY, 320, 9000, 100000, \
        false, DECODE_CASE_ANY                                                                 \
  }

struct decode_case {
  uint64_t seed;
  uint64_t random; /* the generator's state */
  bool table;
  bool last_row_longest;
  int32_t aligned_percent;
  udm_decode_args args; /* the scalars; its pointers are null until decode_case_bind() */
  int64_t num_reqs;     /* rows of req_to_token */
  bool decode_only;     /* no field behind `backends` is set */
  bool ragged;          /* extend_lens is set */
  int32_t most_tokens;  /* that a request has, but for odd extend_lens */
  int64_t num_tokens;   /* T of udm_mode */
  int64_t table_rows;   /* of the page tables */

  unsigned char *input; /* the arena of inputs; its pointer table is all zeros */
  size_t input_bytes;
  size_t seq_lens_offset;
  size_t req_pool_indices_offset;
  size_t req_to_token_offset;
  size_t extend_lens_offset;
  size_t backend_pointers_offset; /* int64[7][backend_pointers_stride] */
  int64_t backend_pointers_stride;

  unsigned char *output_before;   /* the arena of outputs before the call */
  unsigned char *output_expected; /* the arena of outputs after the call */
  size_t output_bytes;
  size_t output_offsets[UDM_MAX_BACKENDS][DECODE_CASE_OUTPUTS];
};

/*
 * Draws a case. Errors: INVALID_ARGUMENT (the request is out of range), OUT_OF_MEMORY, and those of
 * udm_decode_metadata_reference().
 */
udm_status decode_case_create(const struct decode_case_request *request, struct decode_case **out);

/* NULL is allowed. */
void decode_case_destroy(struct decode_case *c);

/*
 * Makes the next decode step of the same tensors: draws new lengths and rows. The expected outputs
 * of the last step are the outputs before this one. Errors: those of decode_case_create().
 */
udm_status decode_case_next_step(struct decode_case *c);

/* Fills args for arenas at these addresses, in host or device memory. */
void decode_case_bind(const struct decode_case *c, CUdeviceptr output_base, CUdeviceptr input_base,
                      udm_decode_args *args);

/*
 * Copies the arena of inputs to `inputs` (host memory, input_bytes) and fills its pointer table for
 * an arena of outputs at output_base.
 */
void decode_case_place_inputs(const struct decode_case *c, CUdeviceptr output_base, void *inputs);

/*
 * Returns whether every byte of an arena of outputs, copied to host memory, is right. If not, text
 * says where the first difference lies.
 */
bool decode_case_matches(const struct decode_case *c, const void *outputs, char *text,
                         size_t text_size);

/* Describes the case in one line: its seed and its arguments. */
void decode_case_describe(const struct decode_case *c, char *text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
