/*
 * graphs.c: captures and graphs: the operations that a stream was given while it captured, in
 * order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <pthread.h>
#include <stdlib.h>

struct capture {
  struct capture *next;
  CUstream stream;
  CUstreamCaptureMode mode;
  pthread_t thread;
  bool invalid;
  struct operation_list operations;
};

struct CUgraph_st {
  struct handle handle;
  struct operation_list operations;
};

struct CUgraphExec_st {
  struct handle handle;
  CUcontext context;
  struct operation_list operations;
};

/* A kernel node of a graph: the place of its operation in the list of the graph. */
struct CUgraphNode_st {
  struct handle handle;
  CUgraph graph;
  size_t index;
};

static struct capture *captures;

void capture_invalidate(struct capture *c) { c->invalid = true; }

/* Which captures this thread's unsafe calls disturb. */
static _Thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    const CUstreamCaptureMode previous = thread_mode;
    thread_mode = *mode;
    *mode = previous;
  }
  return fake_cuda_leave(result);
}

CUresult capture_refuse_unsafe_call(void) {
  CUresult result = CUDA_SUCCESS;
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  for (struct capture *c = captures; c; c = c->next) {
    const bool mine = pthread_equal(c->thread, pthread_self()) != 0;
    const bool seen =
        c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL && thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (c->mode == CU_STREAM_CAPTURE_MODE_RELAXED || (!mine && !seen)) continue;
    c->invalid = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult capture_record(struct capture *c, struct operation *op) {
  if (c->invalid) {
    free(op);
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  operation_append(&c->operations, op);
  return CUDA_SUCCESS;
}

void capture_discard(struct capture *c) {
  struct capture **link = &captures;
  while (*link != c) link = &(*link)->next;
  *link = c->next;
  operation_free_all(&c->operations);
  c->stream->capture = NULL;
  free(c);
}

static CUresult begin_capture(CUstream stream, CUstreamCaptureMode mode) {
  if (stream == &context_current()->default_stream) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
  struct capture *c = calloc(1, sizeof *c);
  if (!c) return CUDA_ERROR_OUT_OF_MEMORY;
  c->stream = stream;
  c->mode = mode;
  c->thread = pthread_self();
  c->next = captures;
  captures = c;
  stream->capture = c;
  return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream given, CUstreamCaptureMode mode) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = begin_capture(stream, mode);
  return fake_cuda_leave(result);
}

/* Destroying a node changes the list, so each search starts over. */
static struct handle *find_node_of(CUgraph graph) {
  for (struct handle *h = handle_next(HANDLE_GRAPH_NODE, NULL); h;
       h = handle_next(HANDLE_GRAPH_NODE, h)) {
    if (((CUgraphNode)(void *)h)->graph == graph) return h;
  }
  return NULL;
}

static void destroy_node(struct handle *object) { free(object); }

static void destroy_graph(struct handle *object) {
  CUgraph graph = (CUgraph)(void *)object;
  for (struct handle *h = find_node_of(graph); h; h = find_node_of(graph)) handle_destroy(h);
  operation_free_all(&graph->operations);
  free(graph);
}

static CUresult end_capture(CUstream stream, CUgraph *graph) {
  struct capture *c = stream->capture;
  if (!c) return CUDA_ERROR_ILLEGAL_STATE;
  if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(c->thread, pthread_self())) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  CUresult result = CUDA_SUCCESS;
  if (c->invalid) result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  CUgraph created = result == CUDA_SUCCESS ? calloc(1, sizeof *created) : NULL;
  if (result == CUDA_SUCCESS && !created) result = CUDA_ERROR_OUT_OF_MEMORY;
  if (created) {
    handle_register(&created->handle, HANDLE_GRAPH, NULL, destroy_graph);
    created->operations = c->operations;
    c->operations = (struct operation_list){NULL, NULL};
  }
  capture_discard(c);
  *graph = created;
  return result;
}

CUresult cuStreamEndCapture(CUstream given, CUgraph *graph) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = end_capture(stream, graph);
  return fake_cuda_leave(result);
}

CUresult cuGraphCreate(CUgraph *graph, unsigned int flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && flags != 0) result = CUDA_ERROR_INVALID_VALUE;
  CUgraph created = result == CUDA_SUCCESS ? calloc(1, sizeof *created) : NULL;
  if (result == CUDA_SUCCESS && !created) result = CUDA_ERROR_OUT_OF_MEMORY;
  if (created) {
    handle_register(&created->handle, HANDLE_GRAPH, NULL, destroy_graph);
    *graph = created;
  }
  return fake_cuda_leave(result);
}

static size_t count_operations(const struct operation_list *list) {
  size_t count = 0;
  for (const struct operation *op = list->first; op; op = op->next) ++count;
  return count;
}

/* Nodes run in the order in which they were added, which no dependency can contradict. */
static CUresult add_kernel_node(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                size_t dependency_count,
                                const CUDA_KERNEL_NODE_PARAMS_v1 *parameters) {
  struct operation *op = NULL;
  if (!handle_is_live(graph, HANDLE_GRAPH) || !parameters) return CUDA_ERROR_INVALID_VALUE;
  for (size_t d = 0; d < dependency_count; ++d) {
    const bool known = handle_is_live(dependencies[d], HANDLE_GRAPH_NODE);
    if (!known || dependencies[d]->graph != graph) return CUDA_ERROR_INVALID_VALUE;
  }
  const CUresult result = launch_prepare(parameters, &op);
  if (result != CUDA_SUCCESS) return result;
  CUgraphNode created = calloc(1, sizeof *created);
  if (!created) {
    free(op);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  handle_register(&created->handle, HANDLE_GRAPH_NODE, NULL, destroy_node);
  created->graph = graph;
  created->index = count_operations(&graph->operations);
  operation_append(&graph->operations, op);
  *node = created;
  return CUDA_SUCCESS;
}

CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                              size_t dependency_count,
                              const CUDA_KERNEL_NODE_PARAMS_v1 *parameters) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) {
    result = add_kernel_node(node, graph, dependencies, dependency_count, parameters);
  }
  return fake_cuda_leave(result);
}

CUresult cuGraphDestroy(CUgraph graph) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !handle_is_live(graph, HANDLE_GRAPH)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) handle_destroy(&graph->handle);
  return fake_cuda_leave(result);
}

static void destroy_exec(struct handle *object) {
  CUgraphExec exec = (CUgraphExec)(void *)object;
  operation_free_all(&exec->operations);
  free(exec);
}

static CUresult instantiate(CUgraphExec *exec, CUgraph graph) {
  if (!handle_is_live(graph, HANDLE_GRAPH)) return CUDA_ERROR_INVALID_VALUE;
  CUgraphExec created = calloc(1, sizeof *created);
  if (!created) return CUDA_ERROR_OUT_OF_MEMORY;
  handle_register(&created->handle, HANDLE_GRAPH_EXEC, NULL, destroy_exec);
  created->context = context_current();
  for (const struct operation *op = graph->operations.first; op; op = op->next) {
    struct operation *copy = operation_clone(op);
    if (!copy) {
      handle_destroy(&created->handle);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    operation_append(&created->operations, copy);
  }
  *exec = created;
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && flags != 0) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) result = instantiate(exec, graph);
  return fake_cuda_leave(result);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !handle_is_live(exec, HANDLE_GRAPH_EXEC)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) handle_destroy(&exec->handle);
  return fake_cuda_leave(result);
}

/* A driver before CUDA 11.2 keeps a node's function; a later one keeps only its context. */
static bool may_become(const CUgraphExec exec, const struct operation *old,
                       const struct operation *op) {
  enum { FUNCTION_MAY_CHANGE = 11020 };
  if (old->kind != OPERATION_KERNEL) return false;
  if (old->function == op->function) return true;
  return devices_driver_version() >= FUNCTION_MAY_CHANGE &&
         op->function->handle.owner == exec->context;
}

/* The operation takes the place of the one that has the node's index. */
static CUresult replace_operation(CUgraphExec exec, size_t index, struct operation *op) {
  struct operation **link = &exec->operations.first;
  for (size_t i = 0; i < index && *link; ++i) link = &(*link)->next;
  struct operation *old = *link;
  if (!old || !may_become(exec, old, op)) return CUDA_ERROR_INVALID_VALUE;
  op->next = old->next;
  *link = op;
  if (exec->operations.last == old) exec->operations.last = op;
  free(old);
  return CUDA_SUCCESS;
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_KERNEL_NODE_PARAMS_v1 *parameters) {
  struct operation *op = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  const bool live =
      handle_is_live(exec, HANDLE_GRAPH_EXEC) && handle_is_live(node, HANDLE_GRAPH_NODE);
  if (result == CUDA_SUCCESS && (!live || !parameters)) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) result = launch_prepare(parameters, &op);
  if (result == CUDA_SUCCESS) {
    result = replace_operation(exec, node->index, op);
    if (result != CUDA_SUCCESS) free(op);
  }
  return fake_cuda_leave(result);
}

/* Each launch enqueues copies, so that the graph may be destroyed before they have run. */
static CUresult enqueue_graph(CUgraphExec exec, CUstream stream) {
  CUresult result = CUDA_SUCCESS;
  if (stream->handle.owner != exec->context) return CUDA_ERROR_INVALID_VALUE;
  for (const struct operation *op = exec->operations.first; op && result == CUDA_SUCCESS;
       op = op->next) {
    struct operation *copy = operation_clone(op);
    result = copy ? stream_enqueue(stream, copy) : CUDA_ERROR_OUT_OF_MEMORY;
  }
  return result;
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS && !handle_is_live(exec, HANDLE_GRAPH_EXEC)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = enqueue_graph(exec, stream);
  return fake_cuda_leave(result);
}
