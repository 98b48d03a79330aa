/*
 * decode_args.c: checks udm_decode_args and names what is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/decode_args.h"

#include <inttypes.h>
#include <string.h>

#include "core/struct_size.h"
#include "kernel_params.h"

static udm_status invalid_number(const char *name, int64_t value, const char *rule,
                                 struct error *error) {
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args->%s is %" PRId64 ": it must be %s", name,
                  value, rule);
}

static udm_status check_int_type(const char *name, udm_int_type type, struct error *error) {
  if (type == UDM_INT32 || type == UDM_INT64) return UDM_OK;
  return invalid_number(name, type, "UDM_INT32 or UDM_INT64", error);
}

static udm_status check_scalars(const udm_decode_args *args, struct error *error) {
  if (args->batch_size < 0)
    return invalid_number("batch_size", args->batch_size, "0 or more", error);
  if (args->max_len < 0) return invalid_number("max_len", args->max_len, "0 or more", error);
  if (args->num_backends < 1 || args->num_backends > UDM_MAX_BACKENDS) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->num_backends is %" PRId32 ": it must be 1 to %d", args->num_backends,
                    UDM_MAX_BACKENDS);
  }
  if (args->nsa_index_topk < 0) {
    return invalid_number("nsa_index_topk", args->nsa_index_topk, "0 or more", error);
  }
  if (args->real_page_size < 1) {
    return invalid_number("real_page_size", args->real_page_size,
                          "1 or more (tokens per page; 1 for no real_page_table)", error);
  }
  udm_status status = check_int_type("seq_lens_type", args->seq_lens_type, error);
  if (status == UDM_OK) {
    status = check_int_type("req_pool_indices_type", args->req_pool_indices_type, error);
  }
  if (status != UDM_OK) return status;
  if (args->extent != UDM_EXTENT_ROW && args->extent != UDM_EXTENT_BATCH_MAX) {
    return invalid_number("extent", args->extent, "UDM_EXTENT_ROW or UDM_EXTENT_BATCH_MAX", error);
  }
  return UDM_OK;
}

static udm_status check_input(const char *name, CUdeviceptr pointer, udm_int_type type,
                              struct error *error) {
  if (!pointer) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args->%s is null", name);
  const unsigned size = type == UDM_INT64 ? 8 : 4;
  if (pointer % size) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->%s is not aligned to its %u-byte elements: 0x%llx", name, size,
                    (unsigned long long)pointer);
  }
  return UDM_OK;
}

/* What belongs to other modes than UDM_MODE_DECODE must not be set in it. */
static udm_status check_decode_mode(const udm_decode_args *args, struct error *error) {
  if (args->tokens_per_request != 0 && args->tokens_per_request != 1) {
    return invalid_number("tokens_per_request", args->tokens_per_request,
                          "0 or 1 in UDM_MODE_DECODE", error);
  }
  if (args->extend_lens) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->extend_lens must be null in UDM_MODE_DECODE: a request has one token");
  }
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (args->seqlen_offset[b] >= 0) continue;
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->seqlen_offset[%" PRId32 "] is %" PRId32 ": it must be 0 or more", b,
                    args->seqlen_offset[b]);
  }
  return UDM_OK;
}

/* Verify and extend, with a number of tokens per request that is the same for all, or is not. */
static udm_status check_token_counts(const udm_decode_args *args, struct error *error) {
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (!args->seqlen_offset[b]) continue;
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->seqlen_offset[%" PRId32 "] is %" PRId32
                    ": only UDM_MODE_DECODE has offsets; set 0",
                    b, args->seqlen_offset[b]);
  }
  if (args->extend_lens) {
    if (args->extend_lens % (args->extend_lens_type == UDM_INT64 ? 8 : 4)) {
      return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                      "args->extend_lens is not aligned to its elements: 0x%llx",
                      (unsigned long long)args->extend_lens);
    }
    if (args->tokens_per_request) {
      return invalid_number("tokens_per_request", args->tokens_per_request,
                            "0 if extend_lens is set, which has the number per request", error);
    }
    if (args->num_tokens < 0) {
      return invalid_number("num_tokens", args->num_tokens,
                            "0 or more: the query tokens that the outputs have room for", error);
    }
    return UDM_OK;
  }
  if (args->tokens_per_request < 1) {
    return invalid_number("tokens_per_request", args->tokens_per_request,
                          "1 or more, or set extend_lens and num_tokens", error);
  }
  if ((int64_t)args->batch_size * args->tokens_per_request < INT32_MAX) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "args->batch_size (%" PRId32 ") times args->tokens_per_request (%" PRId32
                  ") is 2^31 - 1 or more: split the batch",
                  args->batch_size, args->tokens_per_request);
}

static udm_status check_mode(const udm_decode_args *args, struct error *error) {
  const uint32_t known = UDM_ROW_PER_REQUEST | UDM_SKIP_PADDING | UDM_CTX_LENS_OF_REQUEST;
  if (args->mode < UDM_MODE_DECODE || args->mode > UDM_MODE_DRAFT_EXTEND) {
    return invalid_number("mode", args->mode, "a udm_mode", error);
  }
  if (args->index_kpool < 0) {
    return invalid_number("index_kpool", args->index_kpool, "0 or more", error);
  }
  if (args->flags & ~known) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args->flags has unknown bits: 0x%" PRIx32,
                    args->flags & ~known);
  }
  if (args->reserved) return invalid_number("reserved", args->reserved, "0", error);
  if (!args->extend_lens && args->num_tokens) {
    return invalid_number("num_tokens", args->num_tokens, "0 if extend_lens is null", error);
  }
  const udm_status status = check_int_type("extend_lens_type", args->extend_lens_type, error);
  if (status != UDM_OK) return status;
  return args->mode == UDM_MODE_DECODE ? check_decode_mode(args, error)
                                       : check_token_counts(args, error);
}

static udm_status check_extra_output(int32_t backend, const char *name, CUdeviceptr pointer,
                                     struct error *error) {
  if (pointer % 4 == 0) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "args->extra[%" PRId32 "].%s is not aligned to 4 bytes: 0x%llx", backend, name,
                  (unsigned long long)pointer);
}

static udm_status check_schedule(const udm_decode_args *args, struct error *error) {
  if (args->num_sms < 1) {
    return invalid_number("num_sms", args->num_sms,
                          "1 or more for a paged_mqa_schedule: the SMs of its consumer", error);
  }
  if (args->schedule_variant != UDM_SCHEDULE_SM90 && args->schedule_variant != UDM_SCHEDULE_SM100) {
    return invalid_number("schedule_variant", args->schedule_variant,
                          "UDM_SCHEDULE_SM90 or UDM_SCHEDULE_SM100 for a paged_mqa_schedule: the "
                          "rule of the DeepGEMM that reads it",
                          error);
  }
  if (args->schedule_next_n >= 0) return UDM_OK;
  return invalid_number("schedule_next_n", args->schedule_next_n, "0 or more", error);
}

static udm_status check_extra(const udm_decode_args *args, struct error *error) {
  udm_status status = UDM_OK;
  for (int32_t b = 0; status == UDM_OK && b < args->num_backends; ++b) {
    const udm_extra_outputs *extra = &args->extra[b];
    status = check_extra_output(b, "cu_seqlens_q", extra->cu_seqlens_q, error);
    if (status == UDM_OK) {
      status = check_extra_output(b, "paged_mqa_ctx_lens", extra->paged_mqa_ctx_lens, error);
    }
    if (status == UDM_OK) {
      status = check_extra_output(b, "paged_mqa_schedule", extra->paged_mqa_schedule, error);
    }
    if (status == UDM_OK && extra->paged_mqa_schedule) status = check_schedule(args, error);
  }
  return status;
}

static udm_status check_inputs(const udm_decode_args *args, struct error *error) {
  if (args->batch_size == 0) return UDM_OK;
  udm_status status = check_input("seq_lens", args->seq_lens, args->seq_lens_type, error);
  if (status == UDM_OK && args->max_len > 0) {
    status =
        check_input("req_pool_indices", args->req_pool_indices, args->req_pool_indices_type, error);
    if (status == UDM_OK)
      status = check_input("req_to_token", args->req_to_token, UDM_INT32, error);
  }
  return status;
}

/* 2^31 rows of such a stride still have offsets that fit in 63 bits. */
#define LARGEST_STRIDE (INT64_C(1) << 31)

static udm_status check_stride(const char *name, int64_t stride, int64_t columns,
                               struct error *error) {
  if (stride > LARGEST_STRIDE) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->%s is %" PRId64 " elements: more than %" PRId64 " cannot be addressed",
                    name, stride, LARGEST_STRIDE);
  }
  if (stride >= columns) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "args->%s is %" PRId64 " elements, less than the %" PRId64
                  " columns that max_len asks for: widen the tensor or lower max_len",
                  name, stride, columns);
}

static int64_t real_page_columns(const udm_decode_args *args) {
  /* neither is negative, so 32 bits are enough, and their division is faster */
  return ((uint32_t)args->max_len + (uint32_t)args->real_page_size - 1) /
         (uint32_t)args->real_page_size;
}

static udm_status check_output(int32_t backend, const char *name, CUdeviceptr pointer,
                               struct error *error) {
  if (pointer % 4 == 0) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "args->backends[%" PRId32 "].%s is not aligned to 4 bytes: 0x%llx", backend, name,
                  (unsigned long long)pointer);
}

static udm_status check_page_tables(const udm_decode_args *args, int32_t b, struct error *error) {
  const udm_backend_outputs *outputs = &args->backends[b];
  udm_status status = UDM_OK;
  if (args->real_page_size == 1 && outputs->real_page_table) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->backends[%" PRId32
                    "].real_page_table must be null when "
                    "real_page_size is 1: page_table_1 is the table then",
                    b);
  }
  if (!udm_has_page_columns(args)) return UDM_OK;
  if (outputs->page_table_1) {
    status = check_stride("page_table_stride", args->page_table_stride, args->max_len, error);
  }
  if (status == UDM_OK && outputs->real_page_table) {
    status = check_stride("real_page_table_stride", args->real_page_table_stride,
                          real_page_columns(args), error);
  }
  return status;
}

static udm_status check_backend(const udm_decode_args *args, int32_t b, struct error *error) {
#define NAME(field) #field
  static const char *const names[UDM_OUTPUTS_PER_BACKEND] = {
      NAME(cache_seqlens),    NAME(cu_seqlens_k),    NAME(page_table_1),    NAME(nsa_cache_seqlens),
      NAME(nsa_cu_seqlens_k), NAME(real_page_table), NAME(seqlens_expanded)};
#undef NAME
  const udm_backend_outputs *outputs = &args->backends[b];
  udm_status status = UDM_OK;
  for (int o = 0; status == UDM_OK && o < UDM_OUTPUTS_PER_BACKEND; ++o) {
    status = check_output(b, names[o], (&outputs->cache_seqlens)[o], error);
  }
  if (status != UDM_OK || args->batch_size == 0) return status;
  if (args->mode != UDM_MODE_DECODE && outputs->cache_seqlens &&
      outputs->cache_seqlens == outputs->seqlens_expanded) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->backends[%" PRId32
                    "].seqlens_expanded is cache_seqlens: only in UDM_MODE_DECODE are they equal",
                    b);
  }
  return check_page_tables(args, b, error);
}

/* A newer caller has fields that this library does not know: they must be 0. */
static bool uses_unknown_fields(const udm_decode_args *args) {
  const unsigned char *bytes = (const unsigned char *)args;
  for (size_t i = sizeof *args; i < args->struct_size; ++i) {
    if (bytes[i] != 0) return true;
  }
  return false;
}

/* Sets *args to a structure that has every field: the caller's, or a copy in *storage. */
static udm_status read_structure(const udm_decode_args **args, udm_decode_args *storage,
                                 struct error *error) {
  const udm_decode_args *const theirs = *args;
  if (!theirs) {
    udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args is null");
    return UDM_ERROR_INVALID_ARGUMENT; /* so that clang-tidy sees that *args is not null then */
  }
  if (theirs->struct_size < UDM_SIZE_UP_TO(udm_decode_args, backends) ||
      theirs->struct_size > UDM_LARGEST_STRUCT) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->struct_size is %zu: start from UDM_DECODE_ARGS_INIT",
                    theirs->struct_size);
  }
  if (uses_unknown_fields(theirs)) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args uses a field of a newer udm than this library, %s", udm_version_string());
  }
  if (theirs->struct_size >= sizeof *storage) return UDM_OK;
  memset(storage, 0, sizeof *storage);
  memcpy(storage, theirs, theirs->struct_size);
  *args = storage;
  return UDM_OK;
}

/*
 * The kernel counts tiles in 31 bits: tiles of columns, or of pages if there is no page_table_1,
 * which device memory may decide. The first tile of a misaligned row may begin up to a line before
 * its first column.
 */
static udm_status check_tiles(const udm_decode_args *args, struct error *error) {
  const int64_t columns_before = 31;
  const int64_t columns = args->page_table_stride > 0 ? args->max_len + columns_before : 0;
  const int64_t pages = args->real_page_size > 1 ? real_page_columns(args) : 0;
  const int64_t column_tiles = (columns + UDM_KERNEL_TILE - 1) / UDM_KERNEL_TILE;
  const int64_t page_tiles = (pages + UDM_KERNEL_PAGE_TILE - 1) / UDM_KERNEL_PAGE_TILE;
  const int64_t tiles = column_tiles > page_tiles ? column_tiles : page_tiles;
  if (args->batch_size * tiles <= INT32_MAX) return UDM_OK;
  return udm_fail(
      error, UDM_ERROR_INVALID_ARGUMENT,
      "args->batch_size (%" PRId32 ") rows of args->max_len (%" PRId32
      ") columns are more than 2^31 tiles of %d columns or %d pages: split the batch, lower "
      "max_len, or set page_table_stride to 0 if there is no page_table_1",
      args->batch_size, args->max_len, UDM_KERNEL_TILE, UDM_KERNEL_PAGE_TILE);
}

static udm_status check_common(const udm_decode_args **whole, udm_decode_args *storage,
                               struct error *error) {
  udm_status status = read_structure(whole, storage, error);
  if (status != UDM_OK) return status;
  const udm_decode_args *const args = *whole;
  status = check_scalars(args, error);
  if (status == UDM_OK && !udm_is_decode_only(args)) {
    status = check_mode(args, error);
    if (status == UDM_OK) status = check_extra(args, error);
  }
  if (status == UDM_OK) status = check_inputs(args, error);
  if (status == UDM_OK && udm_has_page_columns(args)) {
    status = check_stride("req_to_token_stride", args->req_to_token_stride, args->max_len, error);
    if (status == UDM_OK) status = check_tiles(args, error);
  }
  return status;
}

udm_status udm_check_decode_args(const udm_decode_args **args, udm_decode_args *storage,
                                 struct error *error) {
  udm_status status = check_common(args, storage, error);
  for (int32_t b = 0; status == UDM_OK && b < (*args)->num_backends; ++b) {
    status = check_backend(*args, b, error);
  }
  return status;
}

udm_status udm_check_decode_args_for_table(const udm_decode_args **args, udm_decode_args *storage,
                                           struct error *error) {
  udm_status status = check_common(args, storage, error);
  const udm_decode_args *const whole = *args;
  if (status != UDM_OK || !udm_has_page_columns(whole)) return status;
  if (whole->page_table_stride) {
    status = check_stride("page_table_stride", whole->page_table_stride, whole->max_len, error);
  }
  if (status == UDM_OK && whole->real_page_size > 1 && whole->real_page_table_stride) {
    status = check_stride("real_page_table_stride", whole->real_page_table_stride,
                          real_page_columns(whole), error);
  }
  return status;
}

bool udm_is_decode_only(const udm_decode_args *args) {
  static const unsigned char zeros[sizeof *args - offsetof(udm_decode_args, mode)];
  return memcmp(&args->mode, zeros, sizeof zeros) == 0;
}

int32_t udm_tokens_per_request(const udm_decode_args *args) {
  return args->tokens_per_request > 0 ? args->tokens_per_request : 1;
}

int32_t udm_num_tokens(const udm_decode_args *args) {
  return args->extend_lens ? args->num_tokens : args->batch_size * udm_tokens_per_request(args);
}

int32_t udm_largest_offset(const udm_decode_args *args) {
  int32_t largest = 0;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    if (args->seqlen_offset[b] > largest) largest = args->seqlen_offset[b];
  }
  return largest;
}
