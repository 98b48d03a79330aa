/*
 * workload.c: a batch in device memory, and the calls that fill its metadata: see workload.h.
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

/* Size of the pointer table. */
static size_t table_bytes(const struct bench_workload *workload) {
  return UDM_OUTPUTS_PER_BACKEND * (size_t)workload->args.num_backends * sizeof(CUdeviceptr);
}

/* Row i of the batch; the same in every run. */
static int32_t row_length(const struct bench_shape *shape, int32_t i) {
  if (!shape->shortest) return shape->length;
  uint64_t state = (uint64_t)i * 0x9e3779b97f4a7c15u + 1;
  const double part = (double)(random_next(&state) >> 11) / 9007199254740992.0;
  return (int32_t)(shape->shortest * pow((double)shape->length / shape->shortest, part));
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

/* Takes the next place in the arena for that many elements of 4 bytes. */
static CUdeviceptr take(size_t *used, int64_t elements, CUdeviceptr base) {
  const CUdeviceptr place = base + *used;
  *used += ((size_t)elements * 4 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return place;
}

/* Lays the tensors out from base on; returns the bytes that they need. */
static size_t lay_out(struct bench_workload *workload, const struct bench_shape *shape,
                      int32_t backends, CUdeviceptr base) {
  const udm_decode_args init = UDM_DECODE_ARGS_INIT;
  udm_decode_args *args = &workload->args;
  const int64_t rows = shape->batch_size;
  const int64_t pages = (shape->width + BENCH_PAGE_SIZE - 1) / BENCH_PAGE_SIZE;
  size_t used = 0;
  *args = init;
  args->batch_size = shape->batch_size;
  args->max_len = shape->width;
  args->num_backends = backends;
  args->nsa_index_topk = BENCH_TOPK;
  args->real_page_size = BENCH_PAGE_SIZE;
  args->req_to_token_stride = args->page_table_stride = shape->width;
  args->real_page_table_stride = pages;
  args->seq_lens = take(&used, rows, base);
  args->req_pool_indices = take(&used, rows, base);
  args->req_to_token = take(&used, rows * shape->width, base);
  for (int b = 0; b < backends; ++b) {
    udm_backend_outputs *outputs = &args->backends[b];
    outputs->cache_seqlens = take(&used, rows, base);
    outputs->cu_seqlens_k = take(&used, rows + 1, base);
    if (!shape->no_page_table_1) outputs->page_table_1 = take(&used, rows * shape->width, base);
    outputs->nsa_cache_seqlens = take(&used, rows, base);
    outputs->nsa_cu_seqlens_k = take(&used, rows + 1, base);
    outputs->real_page_table = take(&used, rows * pages, base);
    outputs->seqlens_expanded = take(&used, rows, base);
  }
  workload->pointer_table = take(&used, (int64_t)(table_bytes(workload) / 4), base);
  return used;
}

static CUresult upload_rows(const struct bench_workload *workload,
                            const struct bench_shape *shape) {
  const struct cuda_driver *driver = &workload->session->driver;
  const size_t rows = (size_t)shape->batch_size;
  const size_t longest = (size_t)shape->length;
  int32_t *lengths = malloc(2 * rows * sizeof(int32_t));
  int32_t *slots = malloc((longest + rows) * sizeof(int32_t));
  CUresult result = lengths && slots ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t state = 1;
  for (size_t i = 0; i < longest + rows && slots; ++i) {
    slots[i] = (int32_t)(random_next(&state) & 0x7fffffffu);
  }
  for (size_t i = 0; i < rows && result == CUDA_SUCCESS; ++i) {
    lengths[i] = row_length(shape, (int32_t)i);
    lengths[rows + i] = (int32_t)(rows - 1 - i);
    const CUdeviceptr row = workload->args.req_to_token + i * (size_t)shape->width * 4;
    result = driver->cuMemcpyHtoD_v2(row, slots + i, longest * 4);
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuMemcpyHtoD_v2(workload->args.seq_lens, lengths, rows * 4);
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuMemcpyHtoD_v2(workload->args.req_pool_indices, lengths + rows, rows * 4);
  }
  free(lengths);
  free(slots);
  return result;
}

static CUresult upload_pointers(struct bench_workload *workload) {
  const struct cuda_driver *driver = &workload->session->driver;
  void *pinned = NULL;
  CUresult result = driver->cuMemAllocHost_v2(&pinned, table_bytes(workload));
  if (result != CUDA_SUCCESS) return result;
  workload->host_table = pinned;
  for (int b = 0; b < workload->args.num_backends; ++b) {
    CUdeviceptr outputs[UDM_OUTPUTS_PER_BACKEND];
    memcpy(outputs, &workload->args.backends[b], sizeof outputs);
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      workload->host_table[o * workload->args.num_backends + b] = outputs[o];
    }
  }
  return driver->cuMemcpyHtoD_v2(workload->pointer_table, workload->host_table,
                                 table_bytes(workload));
}

CUresult bench_workload_open(struct bench_workload *workload, const struct gpu_session *session,
                             const struct bench_shape *shape, int32_t backends) {
  *workload = (struct bench_workload){
      .session = session, .tokens = bench_shape_tokens(shape), .pages = bench_shape_pages(shape)};
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
  return result_of(udm_decode_metadata_direct(workload->session->udm, &workload->args,
                                              workload->session->stream));
}

CUresult bench_call_table(const struct bench_workload *workload) {
  return result_of(udm_decode_metadata_table(workload->session->udm, &workload->args,
                                             workload->pointer_table, workload->args.num_backends,
                                             workload->session->stream));
}

CUresult bench_call_table_with_copy(const struct bench_workload *workload) {
  const CUresult result = workload->session->driver.cuMemcpyHtoDAsync_v2(
      workload->pointer_table, workload->host_table, table_bytes(workload),
      workload->session->stream);
  return result == CUDA_SUCCESS ? bench_call_table(workload) : result;
}

CUresult bench_call_each_backend(const struct bench_workload *workload) {
  CUresult result = CUDA_SUCCESS;
  udm_decode_args args = workload->args;
  args.num_backends = 1;
  for (int b = 0; b < workload->args.num_backends && result == CUDA_SUCCESS; ++b) {
    args.backends[0] = workload->args.backends[b];
    result = result_of(
        udm_decode_metadata_direct(workload->session->udm, &args, workload->session->stream));
  }
  return result;
}
