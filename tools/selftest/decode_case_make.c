/*
 * decode_case_make.c: draws the arguments and inputs of a decode case.
 * udm_decode_metadata_reference() computes what the outputs must hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_case.h"

#include <stdlib.h>
#include <string.h>

#include "decode_case_draw.h"

static void draw_words(struct decode_case *c, unsigned char *bytes, size_t size, uint32_t mask) {
  for (size_t at = 0; at + sizeof(uint32_t) <= size; at += sizeof(uint32_t)) {
    const uint32_t word = (uint32_t)draw(c) & mask;
    memcpy(bytes + at, &word, sizeof word);
  }
}

/* ---- the scalars ---- */

/* Draws sizes near the edges of warps, blocks and tiles more often than others. */
static int64_t draw_size(struct decode_case *c, int64_t bound) {
  static const int64_t edges[] = {0,   1,   2,   31,  32,  33,  63,   64,   65,   128,
                                  129, 255, 256, 257, 511, 512, 2047, 2048, 2049, 4096};
  int64_t size = 0;
  switch (draw_between(c, 0, 3)) {
    case 0:
      size = edges[draw_between(c, 0, (int64_t)(sizeof edges / sizeof edges[0]) - 1)];
      break;
    case 1:
      size = draw_between(c, 0, 12);
      break;
    case 2:
      size = draw_between(c, 0, 200);
      break;
    default:
      size = draw_between(c, 0, bound);
  }
  return size <= bound ? size : draw_between(c, 0, bound);
}

static void draw_sizes(struct decode_case *c, const struct decode_case_request *request) {
  const int64_t elements = max_int64(request->table_elements_bound, 0) / c->most_tokens;
  int64_t batch_bound = request->batch_size_bound;
  if (request->max_len > 0) batch_bound = min_int64(batch_bound, elements / request->max_len);
  c->args.batch_size = request->batch_size;
  if (request->batch_size < 0) c->args.batch_size = (int32_t)draw_size(c, batch_bound);
  int64_t len_bound = request->max_len_bound;
  if (c->args.batch_size > 0) len_bound = min_int64(len_bound, elements / c->args.batch_size);
  c->args.max_len = request->max_len;
  if (request->max_len < 0) c->args.max_len = (int32_t)draw_size(c, len_bound);
}

static void draw_scalars(struct decode_case *c, const struct decode_case_request *request) {
  static const int32_t page_sizes[] = {1, 2, 3, 5, 16, 64, 64, 100, 128, 256, 1 << 27, INT32_MAX};
  udm_decode_args *args = &c->args;
  decode_case_draw_phase(c, request);
  draw_sizes(c, request);
  args->num_backends = request->num_backends;
  if (request->num_backends < 0) {
    args->num_backends = (int32_t)draw_between(c, 1, UDM_MAX_BACKENDS);
  }
  decode_case_draw_tokens(c);
  args->real_page_size = request->real_page_size;
  if (request->real_page_size < 0) args->real_page_size = page_sizes[draw_between(c, 0, 11)];
  args->nsa_index_topk = request->nsa_index_topk;
  if (request->nsa_index_topk < 0) {
    const int64_t topk[] = {0, 1, draw_between(c, 0, (int64_t)args->max_len), 2048, INT32_MAX};
    args->nsa_index_topk = (int32_t)topk[draw_between(c, 0, 4)];
  }
  args->extent =
      request->extent < 0 ? (udm_extent)draw_between(c, 0, 1) : (udm_extent)request->extent;
  args->seq_lens_type = (udm_int_type)draw_between(c, 0, 1);
  args->req_pool_indices_type = (udm_int_type)draw_between(c, 0, 1);
}

static bool request_is_valid(const struct decode_case_request *request) {
  return request->num_backends != 0 && request->num_backends <= UDM_MAX_BACKENDS &&
         request->real_page_size != 0 && request->extent <= UDM_EXTENT_BATCH_MAX &&
         request->batch_size_bound >= 0 && request->max_len_bound >= 0 &&
         request->mode <= UDM_MODE_DRAFT_EXTEND;
}

/* ---- what the inputs hold ---- */

static void store_integer(unsigned char *tensor, udm_int_type type, int64_t i, int64_t value) {
  const int32_t narrow = (int32_t)value;
  if (type == UDM_INT64) {
    memcpy(tensor + 8 * i, &value, sizeof value);
  } else {
    memcpy(tensor + 4 * i, &narrow, sizeof narrow);
  }
}

/* The length at a page's first token, one less, or one more. */
static int64_t draw_page_edge(struct decode_case *c) {
  const int64_t page = draw_between(c, 0, c->args.max_len / c->args.real_page_size);
  const int64_t distance = draw_between(c, -1, 1);
  return max_int64(0, page * c->args.real_page_size + distance);
}

/* Any length that a call may get, unusual ones as often as usual ones. */
static int64_t draw_odd_length(struct decode_case *c) {
  const udm_decode_args *args = &c->args;
  const bool wide = args->seq_lens_type == UDM_INT64;
  switch (draw_between(c, 0, 7)) {
    case 0:
      return 0;
    case 1:
      return -draw_between(c, 1, draw_chance(c, 50) ? 3 : (wide ? INT64_MAX - 1 : INT32_MAX));
    case 2:
      return args->max_len;
    case 3:
      return (int64_t)args->max_len + (args->max_len < INT32_MAX - 9 ? draw_between(c, 1, 9) : 0);
    case 4:
      return wide ? draw_between(c, INT32_MAX, INT64_MAX - 1) : INT32_MAX;
    case 5:
      return wide ? (int64_t)1 << draw_between(c, 30, 62) : INT32_MAX - draw_between(c, 0, 2);
    case 6:
      return draw_page_edge(c);
    default:
      return draw_between(c, 0, args->max_len);
  }
}

enum { LAST_ROW_LONGEST = 6, ALL_ZERO, ALL_ONE };

static int64_t draw_length(struct decode_case *c, int64_t style, bool is_last_row) {
  switch (style) {
    case 0:
      return draw_between(c, 0, min_int64(c->args.max_len, 9));
    case 1:
      return c->args.max_len;
    case 2:
      return INT32_MAX; /* the sums wrap */
    case 3:
    case 4:
      return draw_between(c, 0, c->args.max_len);
    case 5: /* mostly padding */
      return draw_chance(c, 80) ? 0 : draw_between(c, 0, c->args.max_len);
    case LAST_ROW_LONGEST:
      return is_last_row ? c->args.max_len : draw_between(c, 0, min_int64(c->args.max_len, 2));
    default:
      return draw_odd_length(c);
  }
}

/* n(i) of a ragged batch. */
static int64_t draw_extend_len(struct decode_case *c, int64_t style) {
  const bool wide = c->args.extend_lens_type == UDM_INT64;
  switch (style) {
    case 0:
      return c->most_tokens;
    case 1:
      return 0;
    case 2: /* mostly rejected */
      return draw_chance(c, 80) ? 0 : draw_between(c, 0, c->most_tokens);
    case 3: /* what no server passes */
      if (draw_chance(c, 10))
        return draw_between(c, INT32_MAX - 1, wide ? INT64_MAX - 1 : INT32_MAX);
      return draw_between(c, draw_chance(c, 10) ? INT32_MIN : 0, c->most_tokens);
    default:
      return draw_between(c, 0, c->most_tokens);
  }
}

/* Whether the request of so many tokens, for `rows` of which there is room, has columns, so that
 * its index must be right. */
static bool has_columns(const struct decode_case *c, int64_t length, int64_t tokens, int64_t rows) {
  const udm_decode_args *args = &c->args;
  const int64_t some = min_int64(max_int64(length, 0), INT32_MAX);
  if (args->max_len == 0) return false;
  if (rows <= 0 && !(args->flags & UDM_ROW_PER_REQUEST)) return false;
  if (args->flags & UDM_SKIP_PADDING && some == 0) return false;
  if (args->extent == UDM_EXTENT_BATCH_MAX || some > 0) return true;
  if (args->mode == UDM_MODE_TARGET_VERIFY) return tokens > 0;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (args->seqlen_offset[b] > 0) return true;
  }
  return false;
}

static void draw_lengths_and_rows(struct decode_case *c) {
  const udm_decode_args *args = &c->args;
  unsigned char *lengths = c->input + c->seq_lens_offset;
  unsigned char *rows = c->input + c->req_pool_indices_offset;
  const int64_t style = c->last_row_longest ? LAST_ROW_LONGEST : draw_between(c, 0, 14);
  const int64_t token_style = c->ragged ? draw_between(c, 0, 7) : 0;
  const bool repeat = draw_chance(c, 20);
  const int64_t largest = args->req_pool_indices_type == UDM_INT64 ? INT64_MAX - 1 : INT32_MAX;
  const int64_t last_row = repeat ? min_int64(1, c->num_reqs - 1) : c->num_reqs - 1;
  int64_t room = c->ragged ? args->num_tokens : INT64_MAX;
  for (int64_t i = 0; i < args->batch_size; ++i) {
    const int64_t length = draw_length(c, style, i + 1 == args->batch_size);
    const int64_t tokens = c->ragged ? draw_extend_len(c, token_style) : c->most_tokens;
    int64_t row = draw_between(c, 0, last_row);
    const int64_t rows_of_request = min_int64(tokens, room);
    if (!has_columns(c, length, tokens, rows_of_request)) {
      row = draw_chance(c, 50) ? -draw_between(c, 1, largest) : largest;
    }
    room -= max_int64(rows_of_request, 0);
    store_integer(lengths, args->seq_lens_type, i, length);
    store_integer(rows, args->req_pool_indices_type, i, row);
    if (c->ragged) {
      store_integer(c->input + c->extend_lens_offset, args->extend_lens_type, i, tokens);
    }
  }
}

/* ---- what the outputs must hold ---- */

static udm_status expect_outputs(struct decode_case *c) {
  udm_decode_args args;
  memcpy(c->output_expected, c->output_before, c->output_bytes);
  decode_case_bind(c, (CUdeviceptr)(uintptr_t)c->output_expected, (CUdeviceptr)(uintptr_t)c->input,
                   &args);
  return udm_decode_metadata_reference(&args);
}

udm_status decode_case_next_step(struct decode_case *c) {
  memcpy(c->output_before, c->output_expected, c->output_bytes);
  draw_lengths_and_rows(c);
  return expect_outputs(c);
}

static udm_status allocate(struct decode_case *c) {
  c->input = aligned_alloc(DECODE_CASE_ALIGNMENT, c->input_bytes);
  c->output_before = aligned_alloc(DECODE_CASE_ALIGNMENT, c->output_bytes);
  c->output_expected = aligned_alloc(DECODE_CASE_ALIGNMENT, c->output_bytes);
  if (!c->input || !c->output_before || !c->output_expected) return UDM_ERROR_OUT_OF_MEMORY;
  draw_words(c, c->output_before, c->output_bytes, 0xffffffffu);
  /* real slots are not negative; a few cases have negative ones, to pin how the division rounds */
  draw_words(c, c->input, c->input_bytes, draw_chance(c, 90) ? 0x7fffffffu : 0xffffffffu);
  memset(c->input + c->backend_pointers_offset, 0,
         sizeof(int64_t) * UDM_OUTPUTS_PER_BACKEND * (size_t)c->backend_pointers_stride);
  draw_lengths_and_rows(c);
  return UDM_OK;
}

udm_status decode_case_create(const struct decode_case_request *request, struct decode_case **out) {
  const udm_decode_args init = UDM_DECODE_ARGS_INIT;
  *out = NULL;
  if (!request_is_valid(request)) return UDM_ERROR_INVALID_ARGUMENT;
  struct decode_case *c = calloc(1, sizeof *c);
  if (!c) return UDM_ERROR_OUT_OF_MEMORY;
  c->seed = c->random = request->seed;
  c->table = request->table;
  c->last_row_longest = request->last_row_longest;
  c->aligned_percent = request->aligned_percent;
  c->args = init;
  memset(c->output_offsets, 0xff, sizeof c->output_offsets); /* DECODE_CASE_NULL */
  draw_scalars(c, request);
  decode_case_place_tensors(c);

  udm_status status = allocate(c);
  if (status == UDM_OK) status = expect_outputs(c);
  if (status == UDM_OK) {
    *out = c;
  } else {
    decode_case_destroy(c);
  }
  return status;
}

void decode_case_destroy(struct decode_case *c) {
  if (!c) return;
  free(c->input);
  free(c->output_before);
  free(c->output_expected);
  free(c);
}
