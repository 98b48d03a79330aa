/*
 * reference.c: the operation in plain C over host memory, written to be read:
 * one loop per output, no optimisation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/decode_args.h"

static const void *host_input(CUdeviceptr pointer) { return (const void *)(uintptr_t)pointer; }
static int32_t *host_output(CUdeviceptr pointer) { return (int32_t *)(uintptr_t)pointer; }

static int64_t read_int(CUdeviceptr values, udm_int_type type, int32_t i) {
  if (type == UDM_INT64) return ((const int64_t *)host_input(values))[i];
  return ((const int32_t *)host_input(values))[i];
}

/* Clamps to [0, INT32_MAX]. */
static int32_t length_of(const udm_decode_args *args, int32_t i) {
  const int64_t length = read_int(args->seq_lens, args->seq_lens_type, i);
  if (length < 0) return 0;
  return length > INT32_MAX ? INT32_MAX : (int32_t)length;
}

static int32_t min_int32(int32_t a, int32_t b) { return a < b ? a : b; }

/* extent(i): how many tokens of row i get columns. */
static int32_t extent_of(const udm_decode_args *args, int32_t i) {
  if (args->extent == UDM_EXTENT_ROW) return min_int32(length_of(args, i), args->max_len);
  int32_t longest = 0;
  for (int32_t other = 0; other < args->batch_size; ++other) {
    if (length_of(args, other) > longest) longest = length_of(args, other);
  }
  return min_int32(longest, args->max_len);
}

static void write_lengths(const udm_decode_args *args, int32_t limit, int32_t *lengths,
                          int32_t *prefix_sums) {
  uint32_t sum = 0; /* wraps like a cumsum over int32 */
  prefix_sums[0] = 0;
  for (int32_t i = 0; i < args->batch_size; ++i) {
    const int32_t length = min_int32(length_of(args, i), limit);
    lengths[i] = length;
    sum += (uint32_t)length;
    prefix_sums[(int64_t)i + 1] = (int32_t)sum;
  }
}

/* Columns c < columns of row i of a page table, which hold every `step`th token's slot / step. */
static void write_table_row(const udm_decode_args *args, int32_t i, int32_t extent, int32_t step,
                            CUdeviceptr table, int64_t stride) {
  if (!table || extent == 0) return;
  const int64_t index = read_int(args->req_pool_indices, args->req_pool_indices_type, i);
  const int32_t *slots =
      (const int32_t *)host_input(args->req_to_token) + index * args->req_to_token_stride;
  int32_t *row = host_output(table) + i * stride;
  for (int64_t column = 0; column * step < extent; ++column) {
    row[column] = slots[column * step] / step;
  }
}

static void write_backend(const udm_decode_args *args, const udm_backend_outputs *outputs) {
  write_lengths(args, INT32_MAX, host_output(outputs->cache_seqlens),
                host_output(outputs->cu_seqlens_k));
  write_lengths(args, args->nsa_index_topk, host_output(outputs->nsa_cache_seqlens),
                host_output(outputs->nsa_cu_seqlens_k));
  int32_t *expanded = host_output(outputs->seqlens_expanded);
  for (int32_t i = 0; i < args->batch_size; ++i) expanded[i] = length_of(args, i);
}

static void write_page_tables(const udm_decode_args *args, int32_t i, int32_t extent) {
  for (int32_t b = 0; b < args->num_backends; ++b) {
    const udm_backend_outputs *outputs = &args->backends[b];
    write_table_row(args, i, extent, 1, outputs->page_table_1, args->page_table_stride);
    if (args->real_page_size > 1) {
      write_table_row(args, i, extent, args->real_page_size, outputs->real_page_table,
                      args->real_page_table_stride);
    }
  }
}

udm_status udm_decode_metadata_reference(const udm_decode_args *args) {
  struct error *const error = udm_thread_error();
  const udm_status status = udm_check_decode_args(args, UDM_MAX_BACKENDS, error);
  if (status != UDM_OK) return status;
  for (int32_t b = 0; b < args->num_backends; ++b) write_backend(args, &args->backends[b]);
  if (!udm_has_page_columns(args)) return UDM_OK;
  int32_t extent = extent_of(args, 0);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    if (args->extent == UDM_EXTENT_ROW) extent = extent_of(args, i);
    write_page_tables(args, i, extent);
  }
  return UDM_OK;
}
