/*
 * decode_case_layout.c: where the tensors of a decode case lie: strides, alignments, guard bands,
 * tables that share a buffer, aliased outputs, null tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_case_draw.h"

/* How the tables of several backends lie to each other. */
enum table_layout {
  TABLES_APART,      /* a guard band between any two */
  TABLES_ADJOINING,  /* slices of one buffer: a row ends where the next table begins */
  TABLES_INTERLEAVED /* column ranges of one wider buffer */
};

/* The placing of one case's tensors. */
struct placing {
  struct decode_case *c;
  int aligned_percent; /* tensors on 16-byte boundaries */
  enum table_layout layout;
  int64_t page_columns;
  int64_t real_page_columns;
};

/* The place of a tensor that starts at the cursor or a little after it. */
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
  c->backend_pointers_offset =
      place(d, &cursor, sizeof(int64_t), UDM_OUTPUTS_PER_BACKEND * c->backend_pointers_stride);
  c->input_bytes = (size_t)round_up((int64_t)cursor, DECODE_CASE_ALIGNMENT);
}

/* The tables of one kind, page_table_1 or real_page_table. Sets their stride. */
static void place_tables(struct placing *d, size_t *cursor, int output, int64_t columns,
                         int64_t *stride) {
  struct decode_case *c = d->c;
  const int64_t rows = c->args.batch_size;
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
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      if (o == UDM_OUTPUT_PAGE_TABLE_1 || o == UDM_OUTPUT_REAL_PAGE_TABLE) continue;
      c->output_offsets[b][o] =
          place(d, cursor, sizeof(int32_t), (int64_t)c->args.batch_size + is_prefix_sum(o));
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

/* Aliases as frameworks make them, then the tables that are null. */
static void draw_aliases_and_nulls(struct decode_case *c) {
  const bool alias_lengths = draw_chance(c, 30);
  const bool share = draw_chance(c, 30);
  const int null_percent = draw_chance(c, 40) ? (int)draw_between(c, 0, 100) : 0;
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    size_t *offsets = c->output_offsets[b];
    if (alias_lengths) offsets[UDM_OUTPUT_SEQLENS_EXPANDED] = offsets[UDM_OUTPUT_CACHE_SEQLENS];
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND && b > 0; ++o) {
      if (share && draw_chance(c, 40)) offsets[o] = c->output_offsets[draw_between(c, 0, b - 1)][o];
    }
    if (draw_chance(c, null_percent)) offsets[UDM_OUTPUT_PAGE_TABLE_1] = DECODE_CASE_NULL;
    const bool null_real_page_table =
        c->args.real_page_size == 1 || (c->table && draw_chance(c, null_percent));
    if (null_real_page_table) offsets[UDM_OUTPUT_REAL_PAGE_TABLE] = DECODE_CASE_NULL;
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const bool looked_at = is_prefix_sum(o) || c->args.batch_size > 0;
      if (!looked_at && null_percent > 50) offsets[o] = DECODE_CASE_NULL;
    }
  }
}

/* A stride that nobody needs may be anything; the pointer-table call checks all but 0. */
static void draw_unneeded_strides(struct decode_case *c) {
  bool page_table = false;
  bool real_page_table = false;
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    page_table = page_table || c->output_offsets[b][UDM_OUTPUT_PAGE_TABLE_1] != DECODE_CASE_NULL;
    real_page_table =
        real_page_table || c->output_offsets[b][UDM_OUTPUT_REAL_PAGE_TABLE] != DECODE_CASE_NULL;
  }
  const bool zero = draw_chance(c, 50);
  if (!page_table && zero) c->args.page_table_stride = 0;
  if (!real_page_table && c->args.real_page_size == 1) c->args.real_page_table_stride = 0;
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
  draw_aliases_and_nulls(c);
  draw_unneeded_strides(c);
}
