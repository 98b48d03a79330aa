/*
 * decode_case_layout.c: where the tensors of a decode case lie: strides, alignments, guard bands,
 * tables that share a buffer, aliased outputs, null tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_case_draw.h"

/* How the tables of several backends lie relative to each other. */
enum table_layout {
  TABLES_APART,      /* a guard band between any two */
  TABLES_ADJOINING,  /* slices of one buffer: a row ends where the next table begins */
  TABLES_INTERLEAVED /* column ranges of one wider buffer */
};

/* State of placing the tensors of one case. */
struct placing {
  struct decode_case *c;
  int aligned_percent; /* how many tensors lie on 16-byte boundaries */
  enum table_layout layout;
  int64_t page_columns;
  int64_t real_page_columns;
};

/* Places a tensor at the cursor or a little after it, and moves the cursor behind it. */
static size_t place(struct placing *d, size_t *cursor, size_t element_size, int64_t elements) {
  size_t at = (*cursor + 15) / 16 * 16;
  if (!draw_chance(d->c, d->aligned_percent)) {
    at += element_size * (size_t)draw_between(d->c, 0, (int64_t)(16 / element_size) - 1);
  }
  const size_t guard = sizeof(int32_t) * (size_t)draw_between(d->c, 1, 24);
  *cursor = at + (size_t)elements * element_size + guard;
  return at;
}

static size_t integer_size(udm_int_type type) { return type == UDM_INT64 ? 8 : 4; }

static int64_t draw_stride(struct placing *d, int64_t columns) {
  const int64_t stride = columns + draw_between(d->c, 0, draw_chance(d->c, 50) ? 0 : 37);
  return draw_chance(d->c, d->aligned_percent) ? round_up(stride, 4) : stride;
}

static void place_inputs(struct placing *d) {
  struct decode_case *c = d->c;
  udm_decode_args *args = &c->args;
  size_t cursor = DECODE_CASE_ALIGNMENT;
  args->req_to_token_stride = draw_stride(d, args->max_len);
  c->num_reqs = draw_between(c, 1, 3 + draw_between(c, 0, args->batch_size));
  c->backend_pointers_stride = args->num_backends + draw_between(c, 0, 3);
  c->seq_lens_offset = place(d, &cursor, integer_size(args->seq_lens_type), args->batch_size);
  c->req_pool_indices_offset =
      place(d, &cursor, integer_size(args->req_pool_indices_type), args->batch_size);
  c->req_to_token_offset =
      place(d, &cursor, sizeof(int32_t), c->num_reqs * args->req_to_token_stride);
  if (c->ragged) {
    c->extend_lens_offset =
        place(d, &cursor, integer_size(args->extend_lens_type), args->batch_size);
  }
  c->backend_pointers_offset =
      place(d, &cursor, sizeof(int64_t), UDM_OUTPUTS_PER_BACKEND * c->backend_pointers_stride);
  c->input_bytes = (size_t)round_up((int64_t)cursor, DECODE_CASE_ALIGNMENT);
}

/* Places page_table_1 or real_page_table of every backend, and sets the stride. */
static void place_tables(struct placing *d, size_t *cursor, int output, int64_t columns,
                         int64_t *stride) {
  struct decode_case *c = d->c;
  const int64_t rows = c->table_rows;
  const bool interleaved = d->layout == TABLES_INTERLEAVED;
  *stride = draw_stride(d, interleaved ? columns * c->args.num_backends : columns);
  const int64_t elements = rows == 0 ? 0 : (rows - 1) * *stride + columns;
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    size_t *offset = &c->output_offsets[b][output];
    if (b == 0 || d->layout == TABLES_APART) {
      *offset = place(d, cursor, sizeof(int32_t), elements);
    } else {
      const int64_t step = interleaved ? columns : rows * *stride;
      *offset = c->output_offsets[b - 1][output] + (size_t)step * sizeof(int32_t);
      const size_t end = *offset + (size_t)elements * sizeof(int32_t) + sizeof(int32_t);
      if (*cursor < end) *cursor = end;
    }
  }
}

static void place_vectors(struct placing *d, size_t *cursor) {
  struct decode_case *c = d->c;
  const int outputs = c->decode_only ? UDM_OUTPUTS_PER_BACKEND : DECODE_CASE_OUTPUTS;
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    for (int o = 0; o < outputs; ++o) {
      if (is_page_table(o)) continue;
      if (o == DECODE_CASE_SCHEDULE && c->args.schedule_variant == UDM_SCHEDULE_UNSET) continue;
      c->output_offsets[b][o] = place(d, cursor, sizeof(int32_t), decode_case_elements(c, o));
    }
  }
}

static void place_outputs(struct placing *d) {
  struct decode_case *c = d->c;
  udm_decode_args *args = &c->args;
  size_t cursor = DECODE_CASE_ALIGNMENT;
  place_vectors(d, &cursor);
  place_tables(d, &cursor, UDM_OUTPUT_PAGE_TABLE_1, d->page_columns, &args->page_table_stride);
  if (args->real_page_size > 1) {
    place_tables(d, &cursor, UDM_OUTPUT_REAL_PAGE_TABLE, d->real_page_columns,
                 &args->real_page_table_stride);
  }
  c->output_bytes = (size_t)round_up((int64_t)cursor + 1, DECODE_CASE_ALIGNMENT);
}

/* Whether this output has the same contents in two backends. */
static bool has_equal_contents(const struct decode_case *c, int output, int32_t b, int32_t other) {
  if (is_page_table(output) || output == DECODE_CASE_CU_SEQLENS_Q) return true;
  return c->args.seqlen_offset[b] == c->args.seqlen_offset[other];
}

/* Draws aliases, as servers make them. */
static void draw_aliases(struct decode_case *c) {
  const bool alias_lengths = draw_chance(c, 30) && c->args.mode == UDM_MODE_DECODE;
  const bool share = draw_chance(c, 30);
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    size_t *offsets = c->output_offsets[b];
    if (alias_lengths) offsets[UDM_OUTPUT_SEQLENS_EXPANDED] = offsets[UDM_OUTPUT_CACHE_SEQLENS];
    for (int o = 0; o < DECODE_CASE_OUTPUTS && b > 0 && share; ++o) {
      const int32_t other = (int32_t)draw_between(c, 0, b - 1);
      if (!draw_chance(c, 40) || !has_equal_contents(c, o, b, other)) continue;
      offsets[o] = c->output_offsets[other][o];
    }
  }
}

/* Of most cases, no output is null; of some, the page tables; of some, any. */
static void draw_nulls(struct decode_case *c) {
  const int null_tables = draw_chance(c, 40) ? (int)draw_between(c, 0, 100) : 0;
  const int null_vectors = draw_chance(c, 20) ? (int)draw_between(c, 0, 100) : 0;
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    for (int o = 0; o < DECODE_CASE_OUTPUTS; ++o) {
      const int percent = is_page_table(o) ? null_tables : null_vectors;
      if (draw_chance(c, percent)) c->output_offsets[b][o] = DECODE_CASE_NULL;
    }
  }
}

static bool has_output(const struct decode_case *c, int output) {
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    if (c->output_offsets[b][output] != DECODE_CASE_NULL) return true;
  }
  return false;
}

/* Unneeded strides may have any value, but the pointer-table call rejects wrong ones other than 0.
 */
static void draw_unneeded_strides(struct decode_case *c) {
  const bool zero = draw_chance(c, 50);
  if (!has_output(c, UDM_OUTPUT_PAGE_TABLE_1) && zero) c->args.page_table_stride = 0;
  if (has_output(c, UDM_OUTPUT_REAL_PAGE_TABLE)) return;
  if (zero || c->args.real_page_size == 1) c->args.real_page_table_stride = 0;
}

void decode_case_place_tensors(struct decode_case *c) {
  struct placing d = {.c = c, .aligned_percent = 100, .layout = TABLES_APART};
  if (draw_chance(c, 60)) d.aligned_percent = draw_chance(c, 50) ? 0 : 80;
  if (c->aligned_percent >= 0) d.aligned_percent = c->aligned_percent;
  if (draw_chance(c, 40)) d.layout = (enum table_layout)draw_between(c, 1, 2);
  d.page_columns = c->args.max_len;
  d.real_page_columns =
      ((int64_t)c->args.max_len + c->args.real_page_size - 1) / c->args.real_page_size;
  place_inputs(&d);
  place_outputs(&d);
  draw_aliases(c);
  draw_nulls(c);
  draw_unneeded_strides(c);
}
