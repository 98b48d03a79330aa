/*
 * workload.c: puts a batch into device memory and fills its metadata: see workload.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numbers/random.h"

/* CUDA_ERROR_LAUNCH_FAILED, for a udm call that failed: udm_last_error() says why. */
enum { CALL_FAILED = 719 };

enum { ALIGNMENT = 512 };

/* The size of the pointer table. */
static size_t table_bytes(const struct bench_workload *workload) {
  return UDM_OUTPUTS_PER_BACKEND * (size_t)workload->calls[0].num_backends * sizeof(CUdeviceptr);
}

/* The length of row i, which is the same in every run. */
static int32_t row_length(const struct bench_shape *shape, int32_t i) {
  if (!shape->shortest) return shape->length;
  if (shape->options & BENCH_ONE_LONG) {
    return i == shape->batch_size / 2 ? shape->length : shape->shortest;
  }
  uint64_t state = (uint64_t)i * RANDOM_STEP + 1; /* row i takes number i of one stream */
  const double part = (double)(random_next(&state) >> 11) / 9007199254740992.0;
  return (int32_t)(shape->shortest * pow((double)shape->length / shape->shortest, part));
}

int32_t bench_tokens_per_request(const udm_decode_args *args) {
  return args->tokens_per_request > 0 ? args->tokens_per_request : 1;
}

int64_t bench_shape_tokens(const struct bench_shape *shape) {
  int64_t tokens = 0;
  for (int32_t i = 0; i < shape->batch_size; ++i) tokens += row_length(shape, i);
  return tokens;
}

int64_t bench_shape_pages(const struct bench_shape *shape) {
  int64_t pages = 0;
  for (int32_t i = 0; i < shape->batch_size; ++i) {
    pages += (row_length(shape, i) + BENCH_PAGE_SIZE - 1) / BENCH_PAGE_SIZE;
  }
  return pages;
}

/* Takes the next place in the arena for a number of elements of 4 bytes. */
static CUdeviceptr take(size_t *used, int64_t elements, CUdeviceptr base) {
  const CUdeviceptr place = base + *used;
  *used += ((size_t)elements * 4 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return place;
}

static void lay_out_inputs(udm_decode_args *args, const struct bench_shape *shape, size_t *used,
                           CUdeviceptr base) {
  const udm_decode_args init = UDM_DECODE_ARGS_INIT;
  const int64_t rows = shape->batch_size;
  const int64_t words = shape->options & BENCH_INT64 ? 2 : 1;
  *args = init;
  if (words == 2) args->seq_lens_type = args->req_pool_indices_type = UDM_INT64;
  args->batch_size = shape->batch_size;
  args->max_len = shape->width;
  args->nsa_index_topk = BENCH_TOPK;
  args->real_page_size = BENCH_PAGE_SIZE;
  args->req_to_token_stride = args->page_table_stride = shape->width;
  args->real_page_table_stride = (shape->width + BENCH_PAGE_SIZE - 1) / BENCH_PAGE_SIZE;
  if (shape->options & BENCH_ROW_PER_REQUEST) args->flags = UDM_ROW_PER_REQUEST;
  args->seq_lens = take(used, rows * words, base);
  args->req_pool_indices = take(used, rows * words, base);
  args->req_to_token = take(used, rows * shape->width + 1, base);
  if (shape->options & BENCH_MISALIGNED) args->req_to_token += sizeof(int32_t);
}

static void lay_out_outputs(udm_decode_args *args, const struct bench_shape *shape, size_t *used,
                            CUdeviceptr base) {
  const int64_t requests = shape->batch_size;
  const int64_t tokens = requests * bench_tokens_per_request(args);
  const int64_t rows = args->flags & UDM_ROW_PER_REQUEST ? requests : tokens;
  for (int b = 0; b < args->num_backends; ++b) {
    udm_backend_outputs *outputs = &args->backends[b];
    outputs->cache_seqlens = take(used, requests, base);
    outputs->cu_seqlens_k = take(used, requests + 1, base);
    if (!(shape->options & BENCH_PAGES_ALONE)) {
      outputs->page_table_1 = take(used, rows * shape->width, base);
    }
    outputs->nsa_cache_seqlens = take(used, tokens, base);
    outputs->nsa_cu_seqlens_k = take(used, tokens + 1, base);
    outputs->real_page_table = take(used, rows * args->real_page_table_stride, base);
    outputs->seqlens_expanded = take(used, tokens, base);
    if (!args->schedule_variant) continue;
    args->extra[b].paged_mqa_schedule = take(used, 2 * ((int64_t)args->num_sms + 1), base);
    if (shape->phase == BENCH_ITERATION) {
      args->extra[b].paged_mqa_ctx_lens = take(used, tokens, base);
    }
  }
}

/* Adds a call that fills the outputs of a phase from the inputs of `inputs`. */
static void add_call(struct bench_workload *workload, const struct bench_shape *shape,
                     const udm_decode_args *inputs, udm_mode mode, int32_t backends) {
  udm_decode_args *args = &workload->calls[workload->call_count++];
  *args = *inputs;
  args->mode = mode;
  args->num_backends = mode == UDM_MODE_DECODE ? backends : 1;
  if (mode != UDM_MODE_DECODE) args->tokens_per_request = BENCH_TOKENS;
  if (shape->phase == BENCH_DRAFT_WITH_SCHEDULES || shape->phase == BENCH_ITERATION) {
    args->schedule_variant = UDM_SCHEDULE_SM90;
    args->num_sms = workload->session->info.multiprocessor_count;
  }
}

/* Lays out the tensors from base on. Returns the bytes that they need. */
static size_t lay_out(struct bench_workload *workload, const struct bench_shape *shape,
                      int32_t backends, CUdeviceptr base) {
  const bool whole = shape->phase == BENCH_ITERATION;
  udm_decode_args inputs;
  size_t used = 0;
  workload->call_count = 0;
  lay_out_inputs(&inputs, shape, &used, base);
  if (whole || shape->phase == BENCH_DRAFT || shape->phase == BENCH_DRAFT_WITH_SCHEDULES) {
    add_call(workload, shape, &inputs, UDM_MODE_DECODE, backends);
  }
  if (whole || shape->phase == BENCH_VERIFY) {
    add_call(workload, shape, &inputs, UDM_MODE_TARGET_VERIFY, backends);
  }
  if (whole || shape->phase == BENCH_EXTEND) {
    add_call(workload, shape, &inputs, UDM_MODE_DRAFT_EXTEND, backends);
  }
  for (int c = 0; c < workload->call_count; ++c) {
    lay_out_outputs(&workload->calls[c], shape, &used, base);
  }
  workload->pointer_table = take(&used, (int64_t)(table_bytes(workload) / 4), base);
  return used;
}

/* Writes element i of an array of int32 or int64. */
static void put_integer(void *array, bool is_int64, size_t i, int32_t value) {
  if (is_int64) {
    ((int64_t *)array)[i] = value;
  } else {
    ((int32_t *)array)[i] = value;
  }
}

static CUresult upload_rows(const struct bench_workload *workload,
                            const struct bench_shape *shape) {
  const struct cuda_driver *driver = &workload->session->driver;
  const udm_decode_args *args = &workload->calls[0];
  const bool is_int64 = shape->options & BENCH_INT64;
  const size_t rows = (size_t)shape->batch_size;
  const size_t bytes = rows * (is_int64 ? sizeof(int64_t) : sizeof(int32_t));
  const size_t longest = (size_t)shape->length;
  void *lengths = malloc(bytes);
  void *indices = malloc(bytes);
  int32_t *slots = malloc((longest + rows) * sizeof(int32_t));
  CUresult result = lengths && indices && slots ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t state = 1;
  for (size_t i = 0; i < longest + rows && slots; ++i) {
    slots[i] = (int32_t)(random_next(&state) & 0x7fffffffu);
  }
  for (size_t i = 0; i < rows && result == CUDA_SUCCESS; ++i) {
    put_integer(lengths, is_int64, i, row_length(shape, (int32_t)i));
    put_integer(indices, is_int64, i, (int32_t)(rows - 1 - i));
    const CUdeviceptr row = args->req_to_token + i * (size_t)shape->width * 4;
    result = driver->cuMemcpyHtoD_v2(row, slots + i, longest * 4);
  }
  if (result == CUDA_SUCCESS) result = driver->cuMemcpyHtoD_v2(args->seq_lens, lengths, bytes);
  if (result == CUDA_SUCCESS) {
    result = driver->cuMemcpyHtoD_v2(args->req_pool_indices, indices, bytes);
  }
  free(lengths);
  free(indices);
  free(slots);
  return result;
}

static CUresult upload_pointers(struct bench_workload *workload) {
  const struct cuda_driver *driver = &workload->session->driver;
  void *pinned = NULL;
  CUresult result = driver->cuMemAllocHost_v2(&pinned, table_bytes(workload));
  if (result != CUDA_SUCCESS) return result;
  workload->host_table = pinned;
  for (int b = 0; b < workload->calls[0].num_backends; ++b) {
    CUdeviceptr outputs[UDM_OUTPUTS_PER_BACKEND];
    memcpy(outputs, &workload->calls[0].backends[b], sizeof outputs);
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      workload->host_table[o * workload->calls[0].num_backends + b] = outputs[o];
    }
  }
  return driver->cuMemcpyHtoD_v2(workload->pointer_table, workload->host_table,
                                 table_bytes(workload));
}

CUresult bench_workload_open(struct bench_workload *workload, const struct gpu_session *session,
                             const struct bench_shape *shape, int32_t backends) {
  *workload = (struct bench_workload){.session = session,
                                      .has_alternatives = shape->phase == BENCH_DRAFT,
                                      .tokens = bench_shape_tokens(shape),
                                      .pages = bench_shape_pages(shape)};
  const size_t bytes = lay_out(workload, shape, backends, 0);
  CUresult result = session->driver.cuMemAlloc_v2(&workload->memory, bytes);
  if (result == CUDA_SUCCESS) {
    lay_out(workload, shape, backends, workload->memory);
    result = upload_rows(workload, shape);
  }
  if (result == CUDA_SUCCESS) result = upload_pointers(workload);
  if (result == CUDA_SUCCESS) result = session->driver.cuCtxSynchronize();
  if (result != CUDA_SUCCESS) bench_workload_close(workload);
  return result;
}

void bench_workload_close(struct bench_workload *workload) {
  const struct cuda_driver *driver = &workload->session->driver;
  if (workload->memory) driver->cuMemFree_v2(workload->memory);
  if (workload->host_table) driver->cuMemFreeHost(workload->host_table);
  workload->memory = 0;
  workload->host_table = NULL;
}

static CUresult result_of(udm_status status) {
  return status == UDM_OK ? CUDA_SUCCESS : CALL_FAILED;
}

CUresult bench_call_direct(const struct bench_workload *workload) {
  CUresult result = CUDA_SUCCESS;
  for (int c = 0; c < workload->call_count && result == CUDA_SUCCESS; ++c) {
    result = result_of(udm_decode_metadata_direct(workload->session->udm, &workload->calls[c],
                                                  workload->session->stream));
  }
  return result;
}

CUresult bench_call_table(const struct bench_workload *workload) {
  return result_of(udm_decode_metadata_table(
      workload->session->udm, &workload->calls[0], workload->pointer_table,
      workload->calls[0].num_backends, workload->session->stream));
}

CUresult bench_call_table_with_copy(const struct bench_workload *workload) {
  const CUresult result = workload->session->driver.cuMemcpyHtoDAsync_v2(
      workload->pointer_table, workload->host_table, table_bytes(workload),
      workload->session->stream);
  return result == CUDA_SUCCESS ? bench_call_table(workload) : result;
}

CUresult bench_call_each_backend(const struct bench_workload *workload) {
  CUresult result = CUDA_SUCCESS;
  udm_decode_args args = workload->calls[0];
  args.num_backends = 1;
  for (int b = 0; b < workload->calls[0].num_backends && result == CUDA_SUCCESS; ++b) {
    args.backends[0] = workload->calls[0].backends[b];
    result = result_of(
        udm_decode_metadata_direct(workload->session->udm, &args, workload->session->stream));
  }
  return result;
}
