/*
 * kernel_scalars.c: how a launch is split into blocks, windows and slices, and the parameters that
 * tell the kernel so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/kernel_scalars.h"

#include <stdint.h>
#include <string.h>

#include "launch/decode_args.h"

enum {
  BLOCK_COLUMNS = UDM_KERNEL_THREADS, /* the least work that is worth a block */
  ENOUGH_SLICES = 32,                 /* of a row, to read it once per copy */
  LENGTH_BLOCK_PAIRS = 32             /* at most */
};

_Static_assert(sizeof(udm_backend_outputs) == UDM_KERNEL_OUTPUTS * sizeof(CUdeviceptr) &&
                   sizeof(udm_extra_outputs) ==
                       (UDM_KERNEL_ALL_OUTPUTS - UDM_KERNEL_OUTPUTS) * sizeof(CUdeviceptr),
               "the kernel takes the outputs of a backend, then its extra ones, in their order");

static unsigned int divide_up(unsigned int n, unsigned int divisor) {
  return n / divisor + (n % divisor > 0);
}

/* A ragged batch's query tokens are written by request. */
static unsigned int chunks_of(const udm_decode_args *args) {
  const int32_t runs = args->extend_lens ? args->batch_size : udm_num_tokens(args);
  return runs > 0 ? divide_up((unsigned)runs, UDM_KERNEL_THREADS) : 1;
}

static unsigned int chunks_per_block(const udm_decode_args *args) {
  return divide_up(chunks_of(args), LENGTH_BLOCK_PAIRS);
}

unsigned int udm_length_blocks(const udm_decode_args *args) {
  return 2 * divide_up(chunks_of(args), chunks_per_block(args));
}

/* For pointers in device memory, the strides decide. */
static bool has_real_page_tables(const udm_decode_args *args, bool direct) {
  if (args->real_page_size == 1 || args->real_page_table_stride <= 0) return false;
  bool any = !direct;
  for (int32_t b = 0; b < args->num_backends; ++b) any |= args->backends[b].real_page_table != 0;
  return any;
}

static bool has_equal_rows(const udm_decode_args *args) {
  if (args->flags & UDM_ROW_PER_REQUEST) return false;
  return args->extend_lens || udm_tokens_per_request(args) > 1;
}

/* Whether equal rows have the same alignment modulo 16 bytes. */
static unsigned int vector_flag(const udm_decode_args *args) {
  return has_equal_rows(args) && args->page_table_stride % 4 ? 0 : UDM_KERNEL_VECTORS;
}

/* How the page_table_1 are aligned. For pointers in device memory the kernel finds it out. */
static unsigned int page_table_1_flags(const udm_decode_args *args) {
  CUdeviceptr first = 0;
  unsigned int flags = vector_flag(args);
  if (args->page_table_stride <= 0) return 0;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    const CUdeviceptr table = args->backends[b].page_table_1;
    if (!first) first = table;
    if (table && (table - first) % 16) flags = 0;
  }
  if (!first) return 0;
  const unsigned int line_offset = (unsigned int)(first / sizeof(int32_t) % 32);
  return flags | UDM_KERNEL_SLOTS | line_offset << UDM_KERNEL_LINE_OFFSET_BIT;
}

static unsigned int flags_of(const udm_decode_args *args, bool direct) {
  unsigned int flags = 0;
  if (args->seq_lens_type == UDM_INT64) flags |= UDM_KERNEL_SEQ_LENS_INT64;
  if (args->req_pool_indices_type == UDM_INT64) flags |= UDM_KERNEL_REQ_POOL_INDICES_INT64;
  if (args->extent == UDM_EXTENT_BATCH_MAX) flags |= UDM_KERNEL_EXTENT_BATCH_MAX;
  if (has_real_page_tables(args, direct)) flags |= UDM_KERNEL_PAGES;
  if (args->extend_lens_type == UDM_INT64) flags |= UDM_KERNEL_EXTEND_LENS_INT64;
  if (args->mode == UDM_MODE_TARGET_VERIFY) flags |= UDM_KERNEL_ADD_TOKENS;
  if (args->flags & UDM_ROW_PER_REQUEST) flags |= UDM_KERNEL_ROW_PER_REQUEST;
  if (args->flags & UDM_SKIP_PADDING) flags |= UDM_KERNEL_SKIP_PADDING;
  if (args->flags & UDM_CTX_LENS_OF_REQUEST) flags |= UDM_KERNEL_CTX_LENS_OF_REQUEST;
  if (args->schedule_next_n > 0) flags |= UDM_KERNEL_SCHEDULE_OF_REQUESTS;
  if (args->schedule_variant == UDM_SCHEDULE_SM100) flags |= UDM_KERNEL_SCHEDULE_SM100;
  return flags | (direct ? page_table_1_flags(args) : vector_flag(args));
}

static bool has_different_offsets(const udm_decode_args *args) {
  for (int32_t b = 1; b < args->num_backends; ++b) {
    if (args->seqlen_offset[b] != args->seqlen_offset[0]) return true;
  }
  return false;
}

static bool has_schedule(const udm_decode_args *args) {
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (args->extra[b].paged_mqa_schedule) return true;
  }
  return false;
}

unsigned int udm_blocks_after_copies(const udm_decode_args *args) {
  const unsigned int groups = has_different_offsets(args) ? (unsigned)args->num_backends : 1;
  return groups * (udm_length_blocks(args) + (has_schedule(args) ? 1 : 0));
}

/*
 * Measured on an H200. Up to 32 requests, one block copies as fast as the memory allows, and every
 * further block repeats the counting. With more, further blocks load while others store or look for
 * rows. Registers allow three.
 */
static unsigned int copy_blocks_per_multiprocessor(const udm_decode_args *args, bool direct) {
  if (args->batch_size <= 32) return 1;
  if (has_equal_rows(args)) return 3;
  if (direct && !page_table_1_flags(args)) return 2;
  return (args->batch_size > 48 && args->batch_size <= 128) || args->batch_size > 512 ? 3 : 2;
}

/*
 * Leaves room for the blocks of lengths and schedules: they would otherwise start only after the
 * first copy blocks have finished.
 */
static unsigned int most_copy_blocks(unsigned int multiprocessors, const udm_decode_args *args,
                                     bool direct) {
  const unsigned int per_multiprocessor = copy_blocks_per_multiprocessor(args, direct);
  const unsigned int others = udm_blocks_after_copies(args);
  if (per_multiprocessor == 1 || others >= multiprocessors) return multiprocessors;
  return per_multiprocessor * multiprocessors - others;
}

/*
 * Depends on the arguments alone, never on what the tensors hold, so that a recorded launch stays
 * right.
 */
unsigned int udm_copy_blocks(unsigned int multiprocessors, const udm_decode_args *args,
                             bool direct) {
  if (!udm_has_page_columns(args)) return 0;
  if (args->page_table_stride <= 0 && !has_real_page_tables(args, direct)) return 0;
  const unsigned int most = most_copy_blocks(multiprocessors, args, direct);
  const uint64_t columns = (uint64_t)args->batch_size * (unsigned)args->max_len;
  const uint64_t blocks = columns / BLOCK_COLUMNS + 1;
  return blocks < most ? (unsigned int)blocks : most;
}

/*
 * Every window gets the same number of copy blocks, or a block serves several windows. The static
 * part copies one slice per copying warp if there are more warps than rows. With many more, each of
 * a request's equal rows has warps of its own.
 */
static void split_into_windows(const udm_decode_args *args, struct udm_kernel_scalars *scalars) {
  const unsigned int rows = scalars->batch_size > 0 ? scalars->batch_size : 1;
  const unsigned int windows = divide_up(rows, UDM_KERNEL_THREADS);
  const unsigned int per_window = scalars->copy_blocks / windows;
  if (per_window > 0) scalars->copy_blocks = per_window * windows;
  const unsigned int copies = (unsigned)udm_tokens_per_request(args);
  unsigned int slices = scalars->copy_blocks * UDM_KERNEL_WARPS / rows;
  if (has_equal_rows(args) && !args->extend_lens && slices / copies >= ENOUGH_SLICES) {
    scalars->flags |= UDM_KERNEL_COPIES_APART;
    slices /= copies;
  }
  scalars->num_windows = windows;
  scalars->num_windows_reciprocal = UINT32_MAX / windows;
  scalars->blocks_per_window = per_window > 0 ? per_window : 1;
  scalars->window_rows = divide_up(rows, windows);
  scalars->window_rows_reciprocal = UINT32_MAX / scalars->window_rows;
  scalars->slices_per_row = slices > 0 ? slices : 1;
}

/* The most tiles of a row: of columns, or of pages if no page_table_1 is written. A pointer table
   can hold either. */
static int64_t most_tiles(const udm_decode_args *args, bool direct, unsigned int flags) {
  const int64_t columns = (int64_t)args->max_len + 31; /* a row may begin anywhere in a line */
  const int64_t pages = (args->max_len - 1) / args->real_page_size + 1;
  const int64_t tiles = (columns + UDM_KERNEL_TILE - 1) / UDM_KERNEL_TILE;
  const int64_t page_tiles = (pages + UDM_KERNEL_PAGE_TILE - 1) / UDM_KERNEL_PAGE_TILE;
  if (direct) return flags & UDM_KERNEL_SLOTS ? tiles : page_tiles;
  return tiles > page_tiles ? tiles : page_tiles;
}

static const void *device_address(CUdeviceptr address) { return (const void *)(uintptr_t)address; }

void udm_kernel_scalars_fill(const udm_decode_args *args, bool direct, unsigned int copy_blocks,
                             struct udm_kernel_scalars *out) {
  const unsigned int page_size = (unsigned int)args->real_page_size;
  *out = (struct udm_kernel_scalars){
      .seq_lens = device_address(args->seq_lens),
      .req_pool_indices = device_address(args->req_pool_indices),
      .req_to_token = device_address(args->req_to_token),
      .req_to_token_stride = args->req_to_token_stride,
      .page_table_stride = args->page_table_stride,
      .real_page_table_stride = args->real_page_table_stride,
      .batch_size = (unsigned int)args->batch_size,
      .flags = flags_of(args, direct),
      .max_len = args->max_len,
      .topk = args->nsa_index_topk,
      .page_size = page_size,
      .page_reciprocal = UINT32_MAX / page_size,
      .copy_blocks = copy_blocks,
      .num_backends = args->num_backends,
      .length_blocks = udm_length_blocks(args),
      .chunks_per_block = chunks_per_block(args),
  };
  split_into_windows(args, out);
  if (most_tiles(args, direct, out->flags) >
      (int64_t)out->slices_per_row * UDM_KERNEL_SLICE_TILES) {
    out->flags |= UDM_KERNEL_DYNAMIC;
  }
}

static int32_t schedule_pieces(const udm_decode_args *args) {
  const int32_t next_n = args->schedule_next_n > 0 ? args->schedule_next_n : 1;
  return args->schedule_variant == UDM_SCHEDULE_SM100 ? next_n : next_n / 2 + next_n % 2;
}

bool udm_has_direct_kernel(const udm_decode_args *args) {
  if (args->num_backends > UDM_KERNEL_DIRECT_BACKENDS) return false;
  if (udm_is_decode_only(args)) return true;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (args->seqlen_offset[b] || args->extra[b].cu_seqlens_q) return false;
  }
  return args->mode == UDM_MODE_DECODE && !args->extend_lens && udm_tokens_per_request(args) == 1 &&
         args->index_kpool <= 1 && !(args->flags & UDM_SKIP_PADDING) && schedule_pieces(args) == 1;
}

void udm_kernel_general_fill(const udm_decode_args *args, struct udm_kernel_general *out) {
  const unsigned int kpool = args->index_kpool > 1 ? (unsigned)args->index_kpool : 1;
  const unsigned int tokens = (unsigned)udm_tokens_per_request(args);
  *out = (struct udm_kernel_general){
      .phase =
          {
              .extend_lens = device_address(args->extend_lens),
              .tokens_per_request = tokens,
              .tokens_reciprocal = UINT32_MAX / tokens,
              .num_tokens = (unsigned)udm_num_tokens(args),
              .kpool = kpool,
              .kpool_reciprocal = UINT32_MAX / kpool,
              .num_sms = (unsigned)args->num_sms,
              .schedule_pieces = (unsigned)schedule_pieces(args),
              .length_groups = has_different_offsets(args) ? (unsigned int)args->num_backends : 1,
              .largest_offset = udm_largest_offset(args),
          },
  };
  memcpy(out->offsets, args->seqlen_offset, sizeof out->offsets);
  for (int32_t b = 0; b < args->num_backends; ++b) {
    memcpy(out->outputs[b], &args->backends[b], sizeof args->backends[b]);
    memcpy(out->outputs[b] + UDM_KERNEL_OUTPUTS, &args->extra[b], sizeof args->extra[b]);
  }
}
