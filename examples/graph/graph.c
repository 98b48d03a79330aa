/*
 * graph.c: a decode loop with a CUDA graph: the launch is recorded once, by capture or as
 * an explicit node, and replayed for every step. The graph holds addresses and
 * the batch size; the lengths are read from device memory at each replay, so
 * nothing is recorded again when they grow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../cuda_calls.h"

enum { BS = 3, MAX_CONTEXT = 256, STEPS = 20 };

/* Must stay at these addresses for as long as the graph is used. */
struct batch {
  int32_t lengths[BS];
  int32_t rows[BS];
  int32_t slots[BS * MAX_CONTEXT];
};

struct outputs {
  int32_t cache_seqlens[BS];
  int32_t cu_seqlens_k[BS + 1];
  int32_t page_table_1[BS][MAX_CONTEXT];
  int32_t nsa_cache_seqlens[BS];
  int32_t nsa_cu_seqlens_k[BS + 1];
  int32_t seqlens_expanded[BS];
};

static udm_decode_args arguments(CUdeviceptr batch, CUdeviceptr outputs) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = batch + offsetof(struct batch, lengths);
  args.req_pool_indices = batch + offsetof(struct batch, rows);
  args.req_to_token = batch + offsetof(struct batch, slots);
  args.req_to_token_stride = MAX_CONTEXT;
  args.batch_size = BS; /* of the graph: pad with requests of length 0 */
  args.max_len = MAX_CONTEXT;
  args.num_backends = 1;
  args.nsa_index_topk = 64;
  args.page_table_stride = MAX_CONTEXT;
  args.backends[0].cache_seqlens = outputs + offsetof(struct outputs, cache_seqlens);
  args.backends[0].cu_seqlens_k = outputs + offsetof(struct outputs, cu_seqlens_k);
  args.backends[0].page_table_1 = outputs + offsetof(struct outputs, page_table_1);
  args.backends[0].nsa_cache_seqlens = outputs + offsetof(struct outputs, nsa_cache_seqlens);
  args.backends[0].nsa_cu_seqlens_k = outputs + offsetof(struct outputs, nsa_cu_seqlens_k);
  args.backends[0].seqlens_expanded = outputs + offsetof(struct outputs, seqlens_expanded);
  return args;
}

/* udm_create() came before: a capture should not have to load a kernel. */
static CUgraphExec capture(udm_context *udm, const udm_decode_args *args, CUstream stream) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUDA_CHECK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  UDM_CHECK(udm_decode_metadata_direct(udm, args, stream)); /* recorded, not run */
  CUDA_CHECK(cuStreamEndCapture(stream, &graph));
  CUDA_CHECK(cuGraphInstantiate(&exec, graph, 0));
  CUDA_CHECK(cuGraphDestroy(graph));
  return exec;
}

/* The same without a stream: the library describes the launch, the program adds the node. */
static CUgraphExec add_node(udm_context *udm, const udm_decode_args *args) {
  CUgraph graph = NULL;
  CUgraphNode node = NULL;
  CUgraphExec exec = NULL;
  CUDA_KERNEL_NODE_PARAMS parameters = {0};
  udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
  UDM_CHECK(udm_prepare_direct(udm, args, &launch));
  parameters.func = launch.function;
  parameters.gridDimX = launch.grid_x;
  parameters.gridDimY = launch.grid_y;
  parameters.gridDimZ = launch.grid_z;
  parameters.blockDimX = launch.block_x;
  parameters.blockDimY = launch.block_y;
  parameters.blockDimZ = launch.block_z;
  parameters.sharedMemBytes = launch.shared_bytes;
  parameters.kernelParams = launch.parameters;
  CUDA_CHECK(cuGraphCreate(&graph, 0));
  CUDA_CHECK(cuGraphAddKernelNode(&node, graph, NULL, 0, &parameters)); /* copies them */
  CUDA_CHECK(cuGraphInstantiate(&exec, graph, 0));
  CUDA_CHECK(cuGraphDestroy(graph));
  return exec;
}

/* Every request gets one to three tokens, as speculative decoding accepts them. */
static void grow(struct batch *batch, int step) {
  for (int i = 0; i < BS; ++i) batch->lengths[i] += 1 + (step + i) % 3;
}

static int is_right(const struct batch *batch, const struct outputs *outputs) {
  int32_t sum = 0;
  for (int i = 0; i < BS; ++i) {
    const int32_t length = batch->lengths[i];
    sum += length;
    if (outputs->cache_seqlens[i] != length || outputs->cu_seqlens_k[i + 1] != sum) return 0;
    for (int32_t j = 0; j < length; ++j) {
      if (outputs->page_table_1[i][j] != batch->slots[batch->rows[i] * MAX_CONTEXT + j]) return 0;
    }
  }
  return 1;
}

/* Replays STEPS times with growing lengths; returns the number of wrong results. */
static int replay(CUgraphExec exec, CUstream stream, struct batch *batch, CUdeviceptr device_batch,
                  CUdeviceptr device_outputs) {
  static struct outputs outputs;
  int wrong = 0;
  for (int step = 0; step < STEPS; ++step) {
    grow(batch, step);
    CUDA_CHECK(cuMemcpyHtoD(device_batch, batch, sizeof *batch));
    CUDA_CHECK(cuGraphLaunch(exec, stream));
    CUDA_CHECK(cuStreamSynchronize(stream));
    CUDA_CHECK(cuMemcpyDtoH(&outputs, device_outputs, sizeof outputs));
    wrong += !is_right(batch, &outputs);
  }
  return wrong;
}

int main(void) {
  static struct batch batch = {{5, 0, 17}, {2, 0, 1}, {0}};
  CUcontext context = NULL;
  CUstream stream = NULL;
  CUdeviceptr device_batch = 0;
  CUdeviceptr device_outputs = 0;
  udm_context *udm = NULL;
  for (int32_t i = 0; i < BS * MAX_CONTEXT; ++i) batch.slots[i] = 7 * i;

  UDM_CHECK(load_cuda_calls());
  CUDA_CHECK(cuInit(0));
  CUDA_CHECK(cuCtxCreate(&context, 0, 0));
  CUDA_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUDA_CHECK(cuMemAlloc(&device_batch, sizeof batch));
  CUDA_CHECK(cuMemAlloc(&device_outputs, sizeof(struct outputs)));
  UDM_CHECK(udm_create(NULL, &udm));

  const udm_decode_args args = arguments(device_batch, device_outputs);
  CUgraphExec captured = capture(udm, &args, stream);
  CUgraphExec explicit_node = add_node(udm, &args);
  const int first = replay(captured, stream, &batch, device_batch, device_outputs);
  printf("captured, replayed %d times, %d wrong\n", STEPS, first);
  const int second = replay(explicit_node, stream, &batch, device_batch, device_outputs);
  printf("explicit node, replayed %d times, %d wrong\n", STEPS, second);

  CUDA_CHECK(cuGraphExecDestroy(captured)); /* before the kernel that they launch */
  CUDA_CHECK(cuGraphExecDestroy(explicit_node));
  udm_destroy(udm);
  CUDA_CHECK(cuMemFree(device_batch));
  CUDA_CHECK(cuMemFree(device_outputs));
  CUDA_CHECK(cuStreamDestroy(stream));
  CUDA_CHECK(cuCtxDestroy(context));
  return first + second == 0 ? 0 : 1;
}
