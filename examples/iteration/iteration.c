/*
 * iteration.c: one iteration of speculative decoding as one CUDA graph: draft
 * decode, target verify, draft extend, one launch each. The program records the
 * graph once and replays it with other lengths and other counts of accepted
 * tokens; the last request of the batch is padding in some iterations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../cuda_calls.h"

enum {
  BS = 3,
  DRAFT_STEPS = 3, /* a backend per step of the draft model */
  TOKENS = 4,      /* that the target model verifies per request */
  ALL_TOKENS = BS * TOKENS,
  MAX_CONTEXT = 512,
  PAGE_SIZE = 64,
  PAGES = MAX_CONTEXT / PAGE_SIZE,
  ITERATIONS = 20
};

/* The inputs. They stay at these addresses for as long as the graph is used. */
struct batch {
  int32_t lengths[BS];  /* tokens in the KV cache before the iteration; 0: padding */
  int32_t accepted[BS]; /* tokens that the target model accepted, its own included */
  int32_t extended[BS]; /* lengths with the accepted tokens */
  int32_t rows[BS];
  int32_t slots[BS * MAX_CONTEXT];
};

/* What the program reads back, of the draft, the verify and the extend. */
struct outputs {
  int32_t draft_seqlens[DRAFT_STEPS][BS];
  int32_t verify_expanded[ALL_TOKENS];
  int32_t verify_pages[ALL_TOKENS][PAGES];
  int32_t extend_expanded[ALL_TOKENS];
  int32_t extend_pages[ALL_TOKENS][PAGES];
  int32_t extend_cu_seqlens_q[BS + 1];
};

#define OUTPUT(outputs, field) ((outputs) + offsetof(struct outputs, field))
#define INPUT(batch, field) ((batch) + offsetof(struct batch, field))

static int32_t num_sms;

static CUdeviceptr allocate(size_t bytes) {
  CUdeviceptr memory = 0; /* lives until the CUDA context is destroyed */
  CUDA_CHECK(cuMemAlloc(&memory, bytes));
  return memory;
}

/* What the three phases have in common. Outputs that stay null are not written. */
static udm_decode_args arguments(CUdeviceptr batch, int32_t backends) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = INPUT(batch, lengths);
  args.req_pool_indices = INPUT(batch, rows);
  args.req_to_token = INPUT(batch, slots);
  args.req_to_token_stride = MAX_CONTEXT;
  args.batch_size = BS;
  args.max_len = MAX_CONTEXT;
  args.num_backends = backends;
  args.nsa_index_topk = 2048;
  args.real_page_size = PAGE_SIZE;
  args.real_page_table_stride = PAGES;
  args.flags = UDM_SKIP_PADDING;
  args.num_sms = num_sms;
  args.schedule_variant = UDM_SCHEDULE_SM90; /* of the DeepGEMM that reads the schedule */
  for (int32_t b = 0; b < backends; ++b) {
    args.extra[b].paged_mqa_schedule = allocate((size_t)(num_sms + 1) * 2 * sizeof(int32_t));
  }
  return args;
}

static udm_decode_args draft_arguments(CUdeviceptr batch, CUdeviceptr outputs) {
  udm_decode_args args = arguments(batch, DRAFT_STEPS);
  for (int32_t b = 0; b < DRAFT_STEPS; ++b) {
    args.backends[b].cache_seqlens = OUTPUT(outputs, draft_seqlens[b]);
    args.backends[b].real_page_table = allocate(sizeof(int32_t[BS][PAGES]));
  }
  return args;
}

static udm_decode_args verify_arguments(CUdeviceptr batch, CUdeviceptr outputs) {
  udm_decode_args args = arguments(batch, 1);
  args.mode = UDM_MODE_TARGET_VERIFY; /* adds the draft tokens to lengths */
  args.tokens_per_request = TOKENS;
  args.backends[0].seqlens_expanded = OUTPUT(outputs, verify_expanded);
  args.backends[0].real_page_table = OUTPUT(outputs, verify_pages);
  return args;
}

static udm_decode_args extend_arguments(CUdeviceptr batch, CUdeviceptr outputs) {
  udm_decode_args args = arguments(batch, 1);
  args.mode = UDM_MODE_DRAFT_EXTEND;
  args.seq_lens = INPUT(batch, extended);    /* which includes the accepted tokens */
  args.extend_lens = INPUT(batch, accepted); /* a ragged batch, known on the device alone ... */
  args.num_tokens = ALL_TOKENS;              /* ... within this many tokens */
  args.backends[0].seqlens_expanded = OUTPUT(outputs, extend_expanded);
  args.backends[0].real_page_table = OUTPUT(outputs, extend_pages);
  args.extra[0].cu_seqlens_q = OUTPUT(outputs, extend_cu_seqlens_q);
  return args;
}

/* Between the launches, a server records its models' kernels, which read what they fill. */
static CUgraphExec record(udm_context *udm, CUdeviceptr batch, CUdeviceptr outputs,
                          CUstream stream) {
  const udm_decode_args draft = draft_arguments(batch, outputs);
  const udm_decode_args verify = verify_arguments(batch, outputs);
  const udm_decode_args extend = extend_arguments(batch, outputs);
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUDA_CHECK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  UDM_CHECK(udm_decode_metadata_direct(udm, &draft, stream));
  /* here the draft model runs DRAFT_STEPS times */
  UDM_CHECK(udm_decode_metadata_direct(udm, &verify, stream));
  /* here the target model verifies, and writes `accepted` and `extended` */
  UDM_CHECK(udm_decode_metadata_direct(udm, &extend, stream));
  /* here the draft model reads the accepted tokens */
  CUDA_CHECK(cuStreamEndCapture(stream, &graph));
  CUDA_CHECK(cuGraphInstantiate(&exec, graph, 0));
  CUDA_CHECK(cuGraphDestroy(graph));
  return exec;
}

static int page_is_right(const struct batch *batch, int i, int32_t page) {
  return page == batch->slots[batch->rows[i] * MAX_CONTEXT] / PAGE_SIZE;
}

/* Query token j of request i sees the tokens before the iteration, and j + 1 more. */
static int is_right(const struct batch *batch, const struct outputs *out) {
  int32_t start = 0;
  for (int i = 0; i < BS; ++i) {
    const int padding = batch->lengths[i] == 0;
    for (int step = 0; step < DRAFT_STEPS; ++step) {
      if (out->draft_seqlens[step][i] != batch->lengths[i]) return 0;
    }
    for (int j = 0; j < TOKENS; ++j) {
      const int e = i * TOKENS + j;
      if (out->verify_expanded[e] != (padding ? 0 : batch->lengths[i] + j + 1)) return 0;
      if (!padding && !page_is_right(batch, i, out->verify_pages[e][0])) return 0;
    }
    for (int j = 0; j < batch->accepted[i]; ++j) {
      const int e = start + j;
      if (out->extend_expanded[e] != batch->lengths[i] + j + 1) return 0;
      if (!page_is_right(batch, i, out->extend_pages[e][0])) return 0;
    }
    start += batch->accepted[i];
    if (out->extend_cu_seqlens_q[i + 1] != start) return 0;
  }
  for (int e = start; e < ALL_TOKENS; ++e) {
    if (out->extend_expanded[e] != 0) return 0; /* no request has these tokens */
  }
  return 1;
}

/* Stands for the models: each live request gets 1 to TOKENS tokens. */
static void accept(struct batch *batch, int iteration) {
  for (int i = 0; i < BS; ++i) {
    batch->lengths[i] = batch->extended[i];
    if (i == BS - 1) batch->lengths[i] = iteration % 4 ? 30 + iteration : 0; /* comes and goes */
    batch->accepted[i] = batch->lengths[i] ? 1 + (iteration + i) % TOKENS : 0;
    batch->extended[i] = batch->lengths[i] + batch->accepted[i];
  }
}

int main(void) {
  static struct batch batch = {.extended = {5, 250, 0}, .rows = {2, 0, 1}};
  static struct outputs outputs;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  CUcontext context = NULL;
  CUstream stream = NULL;
  udm_context *udm = NULL;
  int wrong = 0;
  for (int32_t i = 0; i < BS * MAX_CONTEXT; ++i) batch.slots[i] = 4096 + i;

  UDM_CHECK(load_cuda_calls());
  CUDA_CHECK(cuInit(0));
  CUDA_CHECK(cuCtxCreate(&context, 0, 0));
  CUDA_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  UDM_CHECK(udm_create(NULL, &udm));
  UDM_CHECK(udm_get_context_info(udm, &info));
  num_sms = info.multiprocessor_count;

  const CUdeviceptr device_batch = allocate(sizeof batch);
  const CUdeviceptr device_outputs = allocate(sizeof outputs);
  CUgraphExec iteration = record(udm, device_batch, device_outputs, stream);
  for (int i = 0; i < ITERATIONS; ++i) {
    accept(&batch, i);
    CUDA_CHECK(cuMemcpyHtoD(device_batch, &batch, sizeof batch));
    CUDA_CHECK(cuGraphLaunch(iteration, stream));
    CUDA_CHECK(cuStreamSynchronize(stream));
    CUDA_CHECK(cuMemcpyDtoH(&outputs, device_outputs, sizeof outputs));
    wrong += !is_right(&batch, &outputs);
  }
  printf("three phases in one graph, replayed %d times, %d wrong\n", ITERATIONS, wrong);

  CUDA_CHECK(cuGraphExecDestroy(iteration)); /* before the kernel that it launches */
  udm_destroy(udm);
  CUDA_CHECK(cuStreamDestroy(stream));
  CUDA_CHECK(cuCtxDestroy(context));
  return wrong == 0 ? 0 : 1;
}
