/*
 * host.c: a parent's program in C: the reference, which needs no GPU.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>
#include <stdio.h>
#include <udm.h>

int main(void) {
  int32_t lengths[2] = {3, 4};
  int32_t out[3];
  udm_options options = UDM_OPTIONS_INIT;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  udm_context *ctx = NULL;
  args.seq_lens = (CUdeviceptr)(uintptr_t)lengths;
  args.batch_size = 2;
  args.num_backends = 1;
  args.backends[0].cache_seqlens = args.seq_lens;
  args.backends[0].seqlens_expanded = args.seq_lens;
  args.backends[0].nsa_cache_seqlens = args.seq_lens;
  args.backends[0].cu_seqlens_k = (CUdeviceptr)(uintptr_t)out;
  args.backends[0].nsa_cu_seqlens_k = (CUdeviceptr)(uintptr_t)out;
  args.nsa_index_topk = 100;
  if (udm_decode_metadata_reference(&args) != UDM_OK || out[2] != 7) {
    fprintf(stderr, "%s\n", udm_last_error());
    return 1;
  }
  options.driver_library = "/there/is/no/such/driver";
  return udm_create(&options, &ctx) == UDM_ERROR_NO_DRIVER ? 0 : 1;
}
