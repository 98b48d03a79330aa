/*
 * multi_gpu.c: several GPUs: one thread per device, each with its own CUDA
 * context and udm context. Under mpirun (or srun) one process per device
 * instead: the launcher puts the local rank, which selects the device, into the
 * environment. In both cases all start at once with one cache, and the kernel is
 * compiled once per architecture.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <pthread.h>

#include "../cuda_calls.h"

enum { BS = 2, LENGTH = 40, MOST_DEVICES = 64 };

struct worker {
  pthread_t thread;
  int device;
  int ok;
};

struct outputs {
  int32_t seqlens[BS];
  int32_t sums[BS + 1];
  int32_t nsa_seqlens[BS];
  int32_t nsa_sums[BS + 1];
};

/* One step that writes only the lengths, to keep the example short. */
static int32_t launch(udm_context *udm, CUstream stream) {
  const int32_t lengths[BS] = {LENGTH, 2 * LENGTH};
  struct outputs outputs;
  CUdeviceptr memory = 0;
  CUdeviceptr input = 0;
  CUDA_CHECK(cuMemAlloc(&memory, sizeof outputs));
  CUDA_CHECK(cuMemAlloc(&input, sizeof lengths));
  CUDA_CHECK(cuMemcpyHtoD(input, lengths, sizeof lengths));
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = input;
  args.batch_size = BS;
  args.num_backends = 1;
  args.backends[0].cache_seqlens = memory + offsetof(struct outputs, seqlens);
  args.backends[0].seqlens_expanded = args.backends[0].cache_seqlens;
  args.backends[0].cu_seqlens_k = memory + offsetof(struct outputs, sums);
  args.backends[0].nsa_cache_seqlens = memory + offsetof(struct outputs, nsa_seqlens);
  args.backends[0].nsa_cu_seqlens_k = memory + offsetof(struct outputs, nsa_sums);
  UDM_CHECK(udm_decode_metadata_direct(udm, &args, stream));
  CUDA_CHECK(cuStreamSynchronize(stream));
  CUDA_CHECK(cuMemcpyDtoH(&outputs, memory, sizeof outputs));
  CUDA_CHECK(cuMemFree(input));
  CUDA_CHECK(cuMemFree(memory));
  return outputs.sums[BS];
}

static void *serve(void *user_data) {
  struct worker *worker = user_data;
  CUcontext context = NULL;
  CUstream stream = NULL;
  udm_context *udm = NULL;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  CUDA_CHECK(cuCtxCreate(&context, 0, worker->device)); /* current in this thread alone */
  CUDA_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  UDM_CHECK(udm_create(NULL, &udm));
  UDM_CHECK(udm_get_context_info(udm, &info));
  worker->ok = info.device == worker->device && launch(udm, stream) == 3 * LENGTH;
  printf("device %d: sm_%d, image from %s, %s\n", worker->device, info.device_arch,
         udm_image_source_name(info.image_source), worker->ok ? "right" : "WRONG");
  udm_destroy(udm);
  CUDA_CHECK(cuStreamDestroy(stream));
  CUDA_CHECK(cuCtxDestroy(context));
  return NULL;
}

/* Returns -1 if no launcher started this process. */
static int local_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_RANK",
                                      "SLURM_LOCALID"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    const char *text = getenv(names[i]);
    if (text) return (int)strtol(text, NULL, 10);
  }
  return -1;
}

int main(void) {
  static struct worker workers[MOST_DEVICES];
  int count = 0;
  int ok = 1;
  UDM_CHECK(load_cuda_calls());
  CUDA_CHECK(cuInit(0));
  CUDA_CHECK(cuDeviceGetCount(&count));
  const int rank = local_rank();
  if (count > MOST_DEVICES) count = MOST_DEVICES;
  const int mine = rank < 0 ? count : 1;
  for (int i = 0; i < mine; ++i) {
    workers[i].device = rank < 0 ? i : rank % count;
    if (pthread_create(&workers[i].thread, NULL, serve, &workers[i])) return 1;
  }
  for (int i = 0; i < mine; ++i) {
    pthread_join(workers[i].thread, NULL);
    ok = ok && workers[i].ok;
  }
  udm_cache_counters counters = {.struct_size = sizeof counters};
  UDM_CHECK(udm_get_cache_counters(&counters));
  printf("compiles %" PRIu64 "\n", counters.compiles);
  return ok && count > 0 ? 0 : 1;
}
