/*
 * decode_args.c: checks udm_decode_args and names what is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/decode_args.h"

#include <inttypes.h>

#include "core/struct_size.h"
#include "kernel_params.h"

static udm_status invalid_number(const char *name, int64_t value, const char *rule,
                                 struct error *error) {
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args->%s is %" PRId64 ": it must be %s", name,
                  value, rule);
}

static udm_status check_scalars(const udm_decode_args *args, int32_t max_backends,
                                struct error *error) {
  if (args->batch_size < 0)
    return invalid_number("batch_size", args->batch_size, "0 or more", error);
  if (args->max_len < 0) return invalid_number("max_len", args->max_len, "0 or more", error);
  if (args->num_backends < 1 || args->num_backends > max_backends) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->num_backends is %" PRId32 ": it must be 1 to %" PRId32,
                    args->num_backends, max_backends);
  }
  if (args->nsa_index_topk < 0) {
    return invalid_number("nsa_index_topk", args->nsa_index_topk, "0 or more", error);
  }
  if (args->real_page_size < 1) {
    return invalid_number("real_page_size", args->real_page_size,
                          "1 or more (tokens per page; 1 for no real_page_table)", error);
  }
  if (args->seq_lens_type != UDM_INT32 && args->seq_lens_type != UDM_INT64) {
    return invalid_number("seq_lens_type", args->seq_lens_type, "UDM_INT32 or UDM_INT64", error);
  }
  if (args->req_pool_indices_type != UDM_INT32 && args->req_pool_indices_type != UDM_INT64) {
    return invalid_number("req_pool_indices_type", args->req_pool_indices_type,
                          "UDM_INT32 or UDM_INT64", error);
  }
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
  if (!pointer) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args->backends[%" PRId32 "].%s is null",
                    backend, name);
  }
  if (pointer % 4) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->backends[%" PRId32 "].%s is not aligned to 4 bytes: 0x%llx", backend,
                    name, (unsigned long long)pointer);
  }
  return UDM_OK;
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
    status = check_output(b, "page_table_1", outputs->page_table_1, error);
    if (status == UDM_OK) {
      status = check_stride("page_table_stride", args->page_table_stride, args->max_len, error);
    }
  }
  if (status == UDM_OK && args->real_page_size > 1) {
    status = check_output(b, "real_page_table", outputs->real_page_table, error);
    if (status == UDM_OK) {
      status = check_stride("real_page_table_stride", args->real_page_table_stride,
                            real_page_columns(args), error);
    }
  }
  return status;
}

static udm_status check_backend(const udm_decode_args *args, int32_t b, struct error *error) {
  const udm_backend_outputs *outputs = &args->backends[b];
  udm_status status = check_output(b, "cu_seqlens_k", outputs->cu_seqlens_k, error);
  if (status == UDM_OK) {
    status = check_output(b, "nsa_cu_seqlens_k", outputs->nsa_cu_seqlens_k, error);
  }
  /* in most frameworks an empty tensor has a null pointer */
  if (status != UDM_OK || args->batch_size == 0) return status;
  status = check_output(b, "cache_seqlens", outputs->cache_seqlens, error);
  if (status == UDM_OK) {
    status = check_output(b, "nsa_cache_seqlens", outputs->nsa_cache_seqlens, error);
  }
  if (status == UDM_OK)
    status = check_output(b, "seqlens_expanded", outputs->seqlens_expanded, error);
  if (status == UDM_OK) status = check_page_tables(args, b, error);
  return status;
}

/* A newer caller has fields that this library does not know: they must be 0. */
static bool uses_unknown_fields(const udm_decode_args *args) {
  const unsigned char *bytes = (const unsigned char *)args;
  for (size_t i = sizeof *args; i < args->struct_size; ++i) {
    if (bytes[i] != 0) return true;
  }
  return false;
}

static udm_status check_structure(const udm_decode_args *args, struct error *error) {
  if (!args) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "args is null");
  if (args->struct_size < UDM_SIZE_UP_TO(udm_decode_args, backends) ||
      args->struct_size > UDM_LARGEST_STRUCT) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args->struct_size is %zu: start from UDM_DECODE_ARGS_INIT", args->struct_size);
  }
  if (uses_unknown_fields(args)) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "args uses a field of a newer udm than this library, %s", udm_version_string());
  }
  return UDM_OK;
}

/*
 * The kernel counts tiles in 31 bits: tiles of columns, or of pages if there is no page_table_1. A
 * misaligned row may begin up to a line before its first column.
 */
static udm_status check_units(const udm_decode_args *args, struct error *error) {
  const int64_t most_askew = 31;
  const int64_t positions =
      args->page_table_stride > 0 ? args->max_len + most_askew : real_page_columns(args);
  const int64_t units = (positions + UDM_KERNEL_TILE - 1) / UDM_KERNEL_TILE;
  if (args->batch_size * units <= INT32_MAX) return UDM_OK;
  return udm_fail(
      error, UDM_ERROR_INVALID_ARGUMENT,
      "args->batch_size (%" PRId32 ") rows of args->max_len (%" PRId32
      ") columns are more than 2^31 units of %d: split the batch, lower max_len, or set "
      "page_table_stride to 0 where there is no page_table_1",
      args->batch_size, args->max_len, UDM_KERNEL_TILE);
}

static udm_status check_common(const udm_decode_args *args, int32_t max_backends,
                               struct error *error) {
  udm_status status = check_structure(args, error);
  if (status == UDM_OK) status = check_scalars(args, max_backends, error);
  if (status == UDM_OK) status = check_inputs(args, error);
  if (status == UDM_OK && udm_has_page_columns(args)) {
    status = check_stride("req_to_token_stride", args->req_to_token_stride, args->max_len, error);
    if (status == UDM_OK) status = check_units(args, error);
  }
  return status;
}

udm_status udm_check_decode_args(const udm_decode_args *args, int32_t max_backends,
                                 struct error *error) {
  udm_status status = check_common(args, max_backends, error);
  for (int32_t b = 0; status == UDM_OK && b < args->num_backends; ++b) {
    status = check_backend(args, b, error);
  }
  return status;
}

udm_status udm_check_decode_args_for_table(const udm_decode_args *args, struct error *error) {
  udm_status status = check_common(args, UDM_MAX_BACKENDS, error);
  if (status != UDM_OK || !udm_has_page_columns(args)) return status;
  if (args->page_table_stride) {
    status = check_stride("page_table_stride", args->page_table_stride, args->max_len, error);
  }
  if (status == UDM_OK && args->real_page_size > 1 && args->real_page_table_stride) {
    status = check_stride("real_page_table_stride", args->real_page_table_stride,
                          real_page_columns(args), error);
  }
  return status;
}
