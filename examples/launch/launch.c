/*
 * launch.c: the smallest complete program: create a context, launch on the
 * program's own stream, check the status, read the result.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../cuda_calls.h"

enum { BS = 4, MAX_CONTEXT = 1024, PAGE_SIZE = 64, PAGES = MAX_CONTEXT / PAGE_SIZE };

static CUdeviceptr to_device(const void *values, size_t bytes) {
  CUdeviceptr memory = 0;
  CUDA_CHECK(cuMemAlloc(&memory, bytes));
  if (values) CUDA_CHECK(cuMemcpyHtoD(memory, values, bytes));
  return memory;
}

int main(void) {
  static int32_t slots[BS * MAX_CONTEXT]; /* the KV slot of every token of every request */
  const int32_t lengths[BS] = {100, 1, 0, 1000};
  const int32_t rows[BS] = {3, 1, 0, 2};
  int32_t sums[BS + 1];
  int32_t pages[BS][PAGES];
  CUcontext context = NULL;
  CUstream stream = NULL;
  udm_context *udm = NULL;
  for (int32_t i = 0; i < BS * MAX_CONTEXT; ++i) slots[i] = i;

  UDM_CHECK(load_cuda_calls()); /* the program owns the CUDA context and the stream */
  CUDA_CHECK(cuInit(0));
  CUDA_CHECK(cuCtxCreate(&context, 0, 0));
  CUDA_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));

  UDM_CHECK(udm_create(NULL, &udm)); /* once; compiles unless the cache has the kernel */

  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = to_device(lengths, sizeof lengths);
  args.req_pool_indices = to_device(rows, sizeof rows);
  args.req_to_token = to_device(slots, sizeof slots);
  args.req_to_token_stride = MAX_CONTEXT;
  args.batch_size = BS;
  args.max_len = MAX_CONTEXT;
  args.num_backends = 1;
  args.nsa_index_topk = 512;
  args.real_page_size = PAGE_SIZE;
  args.real_page_table_stride = PAGES;
  udm_backend_outputs *out = &args.backends[0]; /* page_table_1 stays null: not written */
  out->cache_seqlens = to_device(NULL, sizeof lengths);
  out->cu_seqlens_k = to_device(NULL, sizeof sums);
  out->nsa_cache_seqlens = to_device(NULL, sizeof lengths);
  out->nsa_cu_seqlens_k = to_device(NULL, sizeof sums);
  out->real_page_table = to_device(NULL, sizeof pages);
  out->seqlens_expanded = out->cache_seqlens; /* both may share one buffer */

  UDM_CHECK(udm_decode_metadata_direct(udm, &args, stream)); /* per step: one launch */
  CUDA_CHECK(cuStreamSynchronize(stream));

  CUDA_CHECK(cuMemcpyDtoH(sums, out->cu_seqlens_k, sizeof sums));
  CUDA_CHECK(cuMemcpyDtoH(pages, out->real_page_table, sizeof pages));
  printf("cu_seqlens_k %d %d %d %d %d\n", sums[0], sums[1], sums[2], sums[3], sums[4]);
  printf("request 0 has the pages %d %d\n", pages[0][0], pages[0][1]);

  const CUdeviceptr memory[] = {args.seq_lens,          args.req_pool_indices, args.req_to_token,
                                out->cache_seqlens,     out->cu_seqlens_k,     out->real_page_table,
                                out->nsa_cache_seqlens, out->nsa_cu_seqlens_k};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; ++i) CUDA_CHECK(cuMemFree(memory[i]));
  udm_destroy(udm); /* before the CUDA context that it was created in */
  CUDA_CHECK(cuStreamDestroy(stream));
  CUDA_CHECK(cuCtxDestroy(context));
  return sums[BS] == 1101 && pages[0][1] == (3 * MAX_CONTEXT + PAGE_SIZE) / PAGE_SIZE ? 0 : 1;
}
