/*
 * reference.c: the operation in plain C over host memory, written to be read: the formulas of
 * udm_mode and udm_schedule_variant, one loop per output, no optimisation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/decode_args.h"

static const void *host_input(CUdeviceptr pointer) { return (const void *)(uintptr_t)pointer; }
static int32_t *host_output(CUdeviceptr pointer) { return (int32_t *)(uintptr_t)pointer; }

static void store(CUdeviceptr tensor, int64_t i, int64_t value) {
  if (tensor) host_output(tensor)[i] = (int32_t)(uint32_t)(uint64_t)value;
}

static int64_t read_int(CUdeviceptr values, udm_int_type type, int32_t i) {
  if (type == UDM_INT64) return ((const int64_t *)host_input(values))[i];
  return ((const int32_t *)host_input(values))[i];
}

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static int32_t clamp(int64_t length) { return length < 0 ? 0 : (int32_t)min_of(length, INT32_MAX); }

/* s(i) */
static int32_t seq_len(const udm_decode_args *args, int32_t i) {
  return clamp(read_int(args->seq_lens, args->seq_lens_type, i));
}

static bool is_padding(const udm_decode_args *args, int32_t i) {
  return (args->flags & UDM_SKIP_PADDING) && seq_len(args, i) == 0;
}

/* n(i) */
static int32_t query_tokens(const udm_decode_args *args, int32_t i) {
  if (args->extend_lens) return clamp(read_int(args->extend_lens, args->extend_lens_type, i));
  return udm_tokens_per_request(args);
}

/* L(i) */
static int32_t kv_length(const udm_decode_args *args, int32_t i, int32_t offset) {
  if (is_padding(args, i)) return 0;
  const bool adds_tokens = args->mode == UDM_MODE_TARGET_VERIFY;
  return clamp((int64_t)seq_len(args, i) + (adds_tokens ? query_tokens(args, i) : offset));
}

/* expanded(e) of token j of request i */
static int32_t expanded(const udm_decode_args *args, int32_t i, int32_t j, int32_t offset) {
  const int64_t s = seq_len(args, i);
  if (is_padding(args, i)) return 0;
  switch (args->mode) {
    case UDM_MODE_TARGET_VERIFY:
      return clamp(s + j + 1);
    case UDM_MODE_DRAFT_EXTEND:
      return clamp(s - query_tokens(args, i) + j + 1);
    case UDM_MODE_DECODE:
    default:
      return kv_length(args, i, offset);
  }
}

static int32_t visible(const udm_decode_args *args, int32_t length) {
  const int32_t k = args->index_kpool > 1 ? args->index_kpool : 1;
  return (int32_t)min_of(length - length % k, args->nsa_index_topk) + length % k;
}

/* ---- lengths ---- */

static void write_request_lengths(const udm_decode_args *args, int32_t b) {
  const udm_backend_outputs *out = &args->backends[b];
  const CUdeviceptr cu_seqlens_q = args->extra[b].cu_seqlens_q;
  uint64_t sum = 0, tokens = 0;
  store(out->cu_seqlens_k, 0, 0);
  store(cu_seqlens_q, 0, 0);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    const int32_t length = kv_length(args, i, args->seqlen_offset[b]);
    sum += (uint64_t)length;
    tokens += (uint64_t)query_tokens(args, i);
    store(out->cache_seqlens, i, length);
    store(out->cu_seqlens_k, (int64_t)i + 1, (int64_t)sum);
    store(cu_seqlens_q, (int64_t)i + 1, (int64_t)tokens);
  }
}

static void write_token(const udm_decode_args *args, int32_t b, int64_t e, int32_t length,
                        int32_t ctx_len, uint64_t *sum) {
  const udm_backend_outputs *out = &args->backends[b];
  *sum += (uint64_t)visible(args, length);
  store(out->seqlens_expanded, e, length);
  store(out->nsa_cache_seqlens, e, visible(args, length));
  store(out->nsa_cu_seqlens_k, e + 1, (int64_t)*sum);
  store(args->extra[b].paged_mqa_ctx_lens, e, ctx_len);
}

static void write_token_lengths(const udm_decode_args *args, int32_t b) {
  const int32_t offset = args->seqlen_offset[b], total = udm_num_tokens(args);
  uint64_t sum = 0;
  int64_t e = 0;
  store(args->backends[b].nsa_cu_seqlens_k, 0, 0);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    for (int32_t j = 0; j < query_tokens(args, i) && e < total; ++j, ++e) {
      const int32_t length = expanded(args, i, j, offset);
      const bool of_request = args->flags & UDM_CTX_LENS_OF_REQUEST;
      write_token(args, b, e, length, of_request ? kv_length(args, i, offset) : length, &sum);
    }
  }
  for (; e < total; ++e) write_token(args, b, e, 0, 0, &sum);
}

/* ---- schedule ---- */

/* A row of context_lens: number, length. */
typedef void (*schedule_row)(void *user_data, int64_t row, int32_t length);

static void for_each_schedule_row(const udm_decode_args *args, int32_t offset, schedule_row body,
                                  void *user_data) {
  const int32_t total = udm_num_tokens(args);
  int64_t e = 0;
  for (int32_t i = 0; i < args->batch_size; ++i) {
    if (args->schedule_next_n > 0) {
      body(user_data, i, kv_length(args, i, offset));
      continue;
    }
    for (int32_t j = 0; j < query_tokens(args, i) && e < total; ++j, ++e) {
      body(user_data, e, expanded(args, i, j, offset));
    }
  }
}

struct schedule {
  int32_t *entries;
  uint64_t pieces_per_unit; /* m */
  uint64_t quotient, remainder;
  uint64_t num_sms;
  uint64_t total;  /* pieces before the present row; after all rows: all pieces */
  uint64_t sm;     /* the next SM to be given a row */
  bool more_first; /* the first SMs get one more, not the last */
};

static uint64_t first_piece(const struct schedule *schedule, uint64_t sm) {
  const uint64_t few = schedule->num_sms - schedule->remainder;
  const uint64_t more = schedule->more_first
                            ? (uint64_t)min_of((int64_t)sm, (int64_t)schedule->remainder)
                            : (sm > few ? sm - few : 0);
  return sm * schedule->quotient + more;
}

static uint64_t units_of(int32_t length) { return ((uint64_t)length + 255) / 256; }

static void add_row(void *user_data, int64_t row, int32_t length) {
  struct schedule *schedule = user_data;
  (void)row;
  schedule->total += schedule->pieces_per_unit * units_of(length);
}

/* Writes the entries of the SMs that begin in this row. */
static void place_row(void *user_data, int64_t row, int32_t length) {
  struct schedule *schedule = user_data;
  const uint64_t units = units_of(length), pieces = schedule->pieces_per_unit;
  const uint64_t end = schedule->total + pieces * units;
  for (; schedule->sm < schedule->num_sms && first_piece(schedule, schedule->sm) < end;
       ++schedule->sm) {
    const uint64_t off = first_piece(schedule, schedule->sm) - schedule->total;
    const uint64_t first = (uint64_t)row * pieces;
    int32_t *entry = schedule->entries + 2 * schedule->sm;
    entry[0] = (int32_t)(schedule->more_first ? first : first + off / units);
    entry[1] = (int32_t)(schedule->more_first ? off / pieces : off % units);
  }
  schedule->total = end;
}

static void write_schedule(const udm_decode_args *args, int32_t b) {
  const bool sm100 = args->schedule_variant == UDM_SCHEDULE_SM100;
  const uint64_t next_n = args->schedule_next_n > 0 ? (uint64_t)args->schedule_next_n : 1;
  const int32_t rows = args->schedule_next_n > 0 ? args->batch_size : udm_num_tokens(args);
  struct schedule schedule = {.entries = host_output(args->extra[b].paged_mqa_schedule),
                              .pieces_per_unit = sm100 ? next_n : (next_n + 1) / 2,
                              .num_sms = (uint64_t)args->num_sms,
                              .more_first = sm100};
  if (!schedule.entries) return;
  for_each_schedule_row(args, args->seqlen_offset[b], add_row, &schedule);
  const uint64_t end = schedule.total > 0 ? (uint64_t)rows * schedule.pieces_per_unit : 0;
  for (uint64_t i = 0; i <= schedule.num_sms; ++i) {
    schedule.entries[2 * i] = (int32_t)end;
    schedule.entries[2 * i + 1] = 0;
  }
  if (schedule.total == 0) return;
  schedule.quotient = schedule.total / schedule.num_sms;
  schedule.remainder = schedule.total % schedule.num_sms;
  schedule.total = 0;
  for_each_schedule_row(args, args->seqlen_offset[b], place_row, &schedule);
}

/* ---- page tables ---- */

/* extent(i): how many tokens of request i get columns. */
static int32_t extent_of(const udm_decode_args *args, int32_t i) {
  int32_t longest = kv_length(args, i, udm_largest_offset(args));
  if (args->extent == UDM_EXTENT_BATCH_MAX) {
    for (int32_t other = 0; other < args->batch_size; ++other) {
      const int32_t length = kv_length(args, other, udm_largest_offset(args));
      if (length > longest) longest = length;
    }
  }
  return (int32_t)min_of(longest, args->max_len);
}

/* Columns of one row of a page table, which hold every `step`th token's slot / step. */
static void write_table_row(const udm_decode_args *args, int32_t i, int32_t extent, int32_t step,
                            CUdeviceptr table, int64_t offset) {
  if (!table || extent == 0) return;
  const int64_t index = read_int(args->req_pool_indices, args->req_pool_indices_type, i);
  const int32_t *slots =
      (const int32_t *)host_input(args->req_to_token) + index * args->req_to_token_stride;
  int32_t *row = host_output(table) + offset;
  for (int64_t column = 0; column * step < extent; ++column) {
    row[column] = slots[column * step] / step;
  }
}

static void write_page_tables_row(const udm_decode_args *args, int32_t i, int32_t extent,
                                  int64_t row) {
  for (int32_t b = 0; b < args->num_backends; ++b) {
    const udm_backend_outputs *out = &args->backends[b];
    write_table_row(args, i, extent, 1, out->page_table_1, row * args->page_table_stride);
    if (args->real_page_size > 1) {
      write_table_row(args, i, extent, args->real_page_size, out->real_page_table,
                      row * args->real_page_table_stride);
    }
  }
}

static void write_page_tables(const udm_decode_args *args) {
  const bool per_request = args->flags & UDM_ROW_PER_REQUEST;
  const int32_t total = udm_num_tokens(args);
  int64_t e = 0;
  int32_t extent = extent_of(args, 0);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    if (args->extent == UDM_EXTENT_ROW) extent = extent_of(args, i);
    const int32_t columns = is_padding(args, i) ? 0 : extent;
    if (per_request) {
      write_page_tables_row(args, i, columns, i);
      continue;
    }
    for (int32_t j = 0; j < query_tokens(args, i) && e < total; ++j, ++e) {
      write_page_tables_row(args, i, columns, e);
    }
  }
}

udm_status udm_decode_metadata_reference(const udm_decode_args *args) {
  struct error *const error = udm_thread_error();
  udm_decode_args grown;
  const udm_status status = udm_check_decode_args(&args, &grown, error);
  if (status != UDM_OK) return status;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    write_request_lengths(args, b);
    write_token_lengths(args, b);
    write_schedule(args, b);
  }
  if (udm_has_page_columns(args)) write_page_tables(args);
  return UDM_OK;
}
