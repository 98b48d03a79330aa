/*
 * test_graphs.c: the fake driver behaves like the driver: captures and graphs. Runs with
 * UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "driver_fixture.h"
#include "fake_cuda.h"

static CUDA_KERNEL_NODE_PARAMS_v1 node_of(CUfunction function, struct empty_batch *b) {
  const CUDA_KERNEL_NODE_PARAMS_v1 node = {
      function, b->scalars.length_blocks, 1, 1, 256, 1, 1, 0, b->parameters, NULL};
  return node;
}

static void test_a_graph_reads_memory_at_its_launch(void **state) {
  (void)state;
  struct empty_batch b;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  make_empty_batch(&b);
  const CUfunction function = load_function();
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  dirty_sums(&b);
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  assert_int_equal(launch_empty_batch(function, stream, &b), CUDA_SUCCESS);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  assert_true(read_sums(&b) == UINT64_MAX); /* recorded, not run */
  memset(b.parameters, 0, sizeof b.parameters);
  assert_int_equal(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  assert_int_equal(cuGraphDestroy(graph), CUDA_SUCCESS);
  for (int i = 0; i < 5; ++i) {
    dirty_sums(&b);
    assert_int_equal(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
    assert_int_equal(cuStreamSynchronize(stream), CUDA_SUCCESS);
    assert_true(read_sums(&b) == 0);
  }
  assert_int_equal(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  assert_int_equal(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
}

static void test_a_node_changes_its_function_as_the_driver_allows(void **state) {
  struct empty_batch b;
  CUgraph graph = NULL;
  CUgraphNode node = NULL;
  CUgraphExec exec = NULL;
  CUcontext other = NULL;
  make_empty_batch(&b);
  const CUDA_KERNEL_NODE_PARAMS_v1 first = node_of(load_function(), &b);
  const CUDA_KERNEL_NODE_PARAMS_v1 second = node_of(load_function(), &b);
  assert_true(first.func != second.func);
  assert_int_equal(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
  assert_int_equal(cuGraphAddKernelNode(&node, graph, NULL, 0, &first), CUDA_SUCCESS);
  assert_int_equal(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);

  setenv("UDM_FAKE_CUDA_VERSION", "11010", 1);
  assert_int_equal(cuGraphExecKernelNodeSetParams(exec, node, &second), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuGraphExecKernelNodeSetParams(exec, node, &first), CUDA_SUCCESS);
  setenv("UDM_FAKE_CUDA_VERSION", "11020", 1);
  assert_int_equal(cuGraphExecKernelNodeSetParams(exec, node, &second), CUDA_SUCCESS);
  unsetenv("UDM_FAKE_CUDA_VERSION");
  dirty_sums(&b);
  assert_int_equal(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
  assert_int_equal(cuStreamSynchronize(NULL), CUDA_SUCCESS);
  assert_true(read_sums(&b) == 0);

  assert_int_equal(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  const CUDA_KERNEL_NODE_PARAMS_v1 of_another = node_of(load_function(), &b);
  assert_int_equal(cuGraphExecKernelNodeSetParams(exec, node, &of_another),
                   CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  assert_int_equal(cuCtxSetCurrent(*state), CUDA_SUCCESS);
  assert_int_equal(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  assert_int_equal(cuGraphDestroy(graph), CUDA_SUCCESS);
}

static void test_an_unsafe_call_invalidates_a_capture(void **state) {
  (void)state;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUdeviceptr memory = 0;
  CUmodule module = NULL;
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
  for (int call = 0; call < 4; ++call) {
    CUresult result = CUDA_SUCCESS;
    assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
    if (call == 0) result = cuStreamSynchronize(stream);
    if (call == 1) result = cuMemAlloc_v2(&memory, 16);
    if (call == 2) result = load_tiny_cubin(&module, 8, 90);
    if (call == 3) result = cuCtxSynchronize();
    assert_int_equal(result, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assert_null(graph);
  }
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_SUCCESS);
  assert_int_equal(cuMemAlloc_v2(&memory, 16), CUDA_SUCCESS);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  assert_int_equal(cuGraphDestroy(graph), CUDA_SUCCESS);
  assert_int_equal(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
                   CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

static void test_a_relaxed_thread_disturbs_no_capture(void **state) {
  (void)state;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUlibrary library = NULL;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  assert_int_equal(load_library(&library, 8, 90), CUDA_SUCCESS);
  assert_int_equal(cuLibraryUnload(library), CUDA_SUCCESS);
  assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  assert_int_equal(cuGraphDestroy(graph), CUDA_SUCCESS);
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  assert_int_equal(load_library(&library, 8, 90), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  assert_int_equal(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_a_graph_reads_memory_at_its_launch),
      DRIVER_TEST(test_a_node_changes_its_function_as_the_driver_allows),
      DRIVER_TEST(test_an_unsafe_call_invalidates_a_capture),
      DRIVER_TEST(test_a_relaxed_thread_disturbs_no_capture),
  };
  return cmocka_run_group_tests_name("fake driver: graphs", tests, NULL, NULL);
}
