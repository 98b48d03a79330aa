/*
 * decode_case_compare.c: binds a decode case to its arenas, and compares an arena of outputs with
 * what it must hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decode_case_draw.h"
#include "gpu/output_names.h"

_Static_assert(sizeof(udm_backend_outputs) == UDM_OUTPUTS_PER_BACKEND * sizeof(CUdeviceptr),
               "udm_backend_outputs is seven pointers");
_Static_assert(sizeof(udm_extra_outputs) ==
                   (DECODE_CASE_OUTPUTS - UDM_OUTPUTS_PER_BACKEND) * sizeof(CUdeviceptr),
               "udm_extra_outputs is the other pointers");

static const char *name_of(int output) {
  if (output < UDM_OUTPUTS_PER_BACKEND) return output_name(output);
  if (output == DECODE_CASE_CU_SEQLENS_Q) return "cu_seqlens_q";
  return output == DECODE_CASE_CTX_LENS ? "paged_mqa_ctx_lens" : "paged_mqa_schedule";
}

static CUdeviceptr output_address(const struct decode_case *c, CUdeviceptr base, int32_t backend,
                                  int output) {
  const size_t offset = c->output_offsets[backend][output];
  return offset == DECODE_CASE_NULL ? 0 : base + offset;
}

void decode_case_bind(const struct decode_case *c, CUdeviceptr output_base, CUdeviceptr input_base,
                      udm_decode_args *args) {
  *args = c->args;
  args->seq_lens = input_base + c->seq_lens_offset;
  args->req_pool_indices = input_base + c->req_pool_indices_offset;
  args->req_to_token = input_base + c->req_to_token_offset;
  if (c->ragged) args->extend_lens = input_base + c->extend_lens_offset;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    CUdeviceptr pointers[DECODE_CASE_OUTPUTS];
    for (int o = 0; o < DECODE_CASE_OUTPUTS; ++o) {
      pointers[o] = output_address(c, output_base, b, o);
    }
    memcpy(&args->backends[b], pointers, sizeof args->backends[b]);
    memcpy(&args->extra[b], pointers + UDM_OUTPUTS_PER_BACKEND, sizeof args->extra[b]);
  }
}

void decode_case_place_inputs(const struct decode_case *c, CUdeviceptr output_base, void *inputs) {
  unsigned char *table = (unsigned char *)inputs + c->backend_pointers_offset;
  memcpy(inputs, c->input, c->input_bytes);
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const int64_t address = (int64_t)output_address(c, output_base, b, o);
      const int64_t index = o * c->backend_pointers_stride + b;
      memcpy(table + (size_t)index * sizeof address, &address, sizeof address);
    }
  }
}

/* One output tensor: where it lies, and how many columns a call may write. */
struct tensor {
  size_t offset;
  int64_t rows;
  int64_t columns;
  int64_t stride;
};

/* Returns false if the tensor is null. */
static bool get_tensor(const struct decode_case *c, int32_t backend, int output, struct tensor *t) {
  const udm_decode_args *args = &c->args;
  *t = (struct tensor){.offset = c->output_offsets[backend][output], .rows = c->table_rows};
  if (output == UDM_OUTPUT_PAGE_TABLE_1) {
    t->columns = args->max_len;
    t->stride = args->page_table_stride;
  } else if (output == UDM_OUTPUT_REAL_PAGE_TABLE) {
    t->columns = ((int64_t)args->max_len + args->real_page_size - 1) / args->real_page_size;
    t->stride = args->real_page_table_stride;
  } else {
    t->rows = 1;
    t->columns = t->stride = decode_case_elements(c, output);
  }
  return t->offset != DECODE_CASE_NULL;
}

/* Returns whether the element at byte offset `at` belongs to the tensor. */
static bool locate(const struct tensor *t, size_t at, int64_t *row, int64_t *column) {
  if (at < t->offset || t->stride == 0) return false;
  const int64_t element = (int64_t)((at - t->offset) / sizeof(int32_t));
  *row = element / t->stride;
  *column = element % t->stride;
  return *row < t->rows && *column < t->columns;
}

/* Says in words what lies at byte offset `at` of the arena of outputs. */
static void describe_place(const struct decode_case *c, size_t at, char *text, size_t text_size) {
  struct tensor t;
  int64_t row = 0;
  int64_t column = 0;
  size_t nearest = 0;
  snprintf(text, text_size, "the guard band before all outputs");
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    for (int o = 0; o < DECODE_CASE_OUTPUTS; ++o) {
      if (!get_tensor(c, b, o, &t)) continue;
      if (locate(&t, at, &row, &column)) {
        snprintf(text, text_size, "%s of backend %" PRId32 ", row %" PRId64 ", column %" PRId64,
                 name_of(o), b, row, column);
        return;
      }
      if (t.offset <= at && t.offset >= nearest) {
        nearest = t.offset;
        snprintf(text, text_size,
                 "outside every output, %zu elements from the start of %s of backend %" PRId32,
                 (at - t.offset) / sizeof(int32_t), name_of(o), b);
      }
    }
  }
}

static int32_t element_at(const void *arena, size_t at) {
  int32_t value = 0;
  memcpy(&value, (const unsigned char *)arena + at, sizeof value);
  return value;
}

bool decode_case_matches(const struct decode_case *c, const void *outputs, char *text,
                         size_t text_size) {
  if (memcmp(outputs, c->output_expected, c->output_bytes) == 0) return true;
  char place[256];
  size_t first = c->output_bytes;
  size_t different = 0;
  for (size_t at = 0; at < c->output_bytes; at += sizeof(int32_t)) {
    if (element_at(outputs, at) == element_at(c->output_expected, at)) continue;
    if (different++ == 0) first = at;
  }
  describe_place(c, first, place, sizeof place);
  snprintf(text, text_size,
           "%s: got %" PRId32 ", want %" PRId32 " (before the call: %" PRId32
           "); %zu elements differ",
           place, element_at(outputs, first), element_at(c->output_expected, first),
           element_at(c->output_before, first), different);
  return false;
}

/* What a case has beyond the seven outputs of decode mode. */
static void describe_phase(const struct decode_case *c, char *text, size_t text_size) {
  static const char *const modes[] = {"decode", "target verify", "draft extend"};
  const udm_decode_args *a = &c->args;
  size_t at = 0;
  at += (size_t)snprintf(text, text_size, ", mode %s", modes[a->mode]);
  if (c->ragged) {
    at += (size_t)snprintf(text + at, text_size - at, ", extend_lens %s, num_tokens %" PRId32,
                           a->extend_lens_type == UDM_INT64 ? "int64" : "int32", a->num_tokens);
  }
  at += (size_t)snprintf(text + at, text_size - at,
                         ", tokens_per_request %" PRId32 ", index_kpool %" PRId32 ", flags %" PRIu32
                         ", num_sms %" PRId32 ", schedule_variant %d, schedule_next_n %" PRId32
                         ", offsets",
                         a->tokens_per_request, a->index_kpool, a->flags, a->num_sms,
                         (int)a->schedule_variant, a->schedule_next_n);
  for (int32_t b = 0; b < a->num_backends; ++b) {
    at += (size_t)snprintf(text + at, text_size - at, " %" PRId32, a->seqlen_offset[b]);
  }
}

void decode_case_describe(const struct decode_case *c, char *text, size_t text_size) {
  const udm_decode_args *a = &c->args;
  char phase[DECODE_CASE_TEXT_SIZE / 2] = "";
  if (!c->decode_only) describe_phase(c, phase, sizeof phase);
  snprintf(text, text_size,
           "seed %" PRIu64 " (%s): batch_size %" PRId32 ", max_len %" PRId32
           ", num_backends %" PRId32 ", nsa_index_topk %" PRId32 ", real_page_size %" PRId32
           ", extent %s, seq_lens %s, req_pool_indices %s, strides %" PRId64 " %" PRId64 " %" PRId64
           "%s",
           c->seed, c->table ? "table" : "direct", a->batch_size, a->max_len, a->num_backends,
           a->nsa_index_topk, a->real_page_size, a->extent == UDM_EXTENT_ROW ? "row" : "batch max",
           a->seq_lens_type == UDM_INT64 ? "int64" : "int32",
           a->req_pool_indices_type == UDM_INT64 ? "int64" : "int32", a->req_to_token_stride,
           a->page_table_stride, a->real_page_table_stride, phase);
}
