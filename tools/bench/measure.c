/*
 * measure.c: times graph nodes and host calls: see measure.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A graph has ten equal nodes. A time is the median over its replays, measured between two events
 * and divided by ten. For a flushed time the graph has ten pairs of a sweep of the L2 cache and the
 * call. The time of a sweep with an empty kernel is subtracted, and the time of the empty kernel is
 * added.
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "numbers/clock.h"
#include "numbers/time_samples.h"

enum { WARM_REPLAYS = 2, HOST_CALLS = 200 };

typedef CUresult (*enqueue)(const struct bench_run *bench, const struct bench_workload *workload);

static CUresult enqueue_direct(const struct bench_run *bench,
                               const struct bench_workload *workload) {
  (void)bench;
  return bench_call_direct(workload);
}

static CUresult enqueue_table(const struct bench_run *bench,
                              const struct bench_workload *workload) {
  (void)bench;
  return bench_call_table(workload);
}

static CUresult enqueue_table_with_copy(const struct bench_run *bench,
                                        const struct bench_workload *workload) {
  (void)bench;
  return bench_call_table_with_copy(workload);
}

static CUresult enqueue_each_backend(const struct bench_run *bench,
                                     const struct bench_workload *workload) {
  (void)bench;
  return bench_call_each_backend(workload);
}

static CUresult enqueue_empty(const struct bench_run *bench,
                              const struct bench_workload *workload) {
  (void)workload;
  return bench_launch_empty(&bench->lower_bounds, &bench->session, bench->backends);
}

static CUresult enqueue_copy(const struct bench_run *bench, const struct bench_workload *workload) {
  return bench_launch_copies(&bench->lower_bounds, workload);
}

static bool good(struct bench_run *bench, const char *what, CUresult result) {
  if (result == CUDA_SUCCESS) return true;
  snprintf(bench->error, sizeof bench->error, "%s failed with %s", what,
           cuda_driver_error(&bench->session.driver, result));
  return false;
}

static bool record(struct bench_run *bench, enqueue call, const struct bench_workload *workload,
                   bool swept, CUgraphExec *exec) {
  const struct gpu_session *session = &bench->session;
  const struct cuda_driver *driver = &session->driver;
  CUgraph graph = NULL;
  CUresult result =
      driver->cuStreamBeginCapture_v2(session->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (!good(bench, "cuStreamBeginCapture", result)) return false;
  for (int i = 0; i < BENCH_NODES && result == CUDA_SUCCESS; ++i) {
    if (swept) result = bench_launch_sweep(&bench->lower_bounds, session);
    if (result == CUDA_SUCCESS) result = call(bench, workload);
  }
  const CUresult ended = driver->cuStreamEndCapture(session->stream, &graph);
  if (result == CUDA_SUCCESS) result = ended;
  if (result == CUDA_SUCCESS) result = driver->cuGraphInstantiateWithFlags(exec, graph, 0);
  if (graph) driver->cuGraphDestroy(graph);
  return good(bench, "recording a graph", result);
}

static bool replay_once(struct bench_run *bench, CUgraphExec exec, CUevent start, CUevent end,
                        double *us) {
  const struct gpu_session *session = &bench->session;
  const struct cuda_driver *driver = &session->driver;
  float milliseconds = 0;
  CUresult result = driver->cuEventRecord(start, session->stream);
  if (result == CUDA_SUCCESS) result = driver->cuGraphLaunch(exec, session->stream);
  if (result == CUDA_SUCCESS) result = driver->cuEventRecord(end, session->stream);
  if (result == CUDA_SUCCESS) result = driver->cuEventSynchronize(end);
  if (result == CUDA_SUCCESS) result = driver->cuEventElapsedTime(&milliseconds, start, end);
  *us = (double)milliseconds * 1e3 / BENCH_NODES;
  return good(bench, "replaying a graph", result);
}

static bool time_node(struct bench_run *bench, enqueue call, const struct bench_workload *workload,
                      bool swept, double *us) {
  const struct cuda_driver *driver = &bench->session.driver;
  struct time_samples samples = {NULL, 0, 0};
  CUgraphExec exec = NULL;
  CUevent start = NULL;
  CUevent end = NULL;
  bool done = good(bench, "cuEventCreate", driver->cuEventCreate(&start, CU_EVENT_DEFAULT)) &&
              good(bench, "cuEventCreate", driver->cuEventCreate(&end, CU_EVENT_DEFAULT)) &&
              record(bench, call, workload, swept, &exec);
  for (int64_t i = -WARM_REPLAYS; i < bench->replays && done; ++i) {
    double sample = 0;
    done = replay_once(bench, exec, start, end, &sample);
    if (done && i >= 0) done = samples_add(&samples, sample);
  }
  if (done) *us = samples_percentiles(&samples).p50;
  if (exec) driver->cuGraphExecDestroy(exec);
  if (start) driver->cuEventDestroy_v2(start);
  if (end) driver->cuEventDestroy_v2(end);
  free(samples.values);
  return done;
}

static bool time_flushed(struct bench_run *bench, enqueue call,
                         const struct bench_workload *workload, double *us) {
  double pair = 0;
  double sweep = 0;
  if (!time_node(bench, call, workload, true, &pair) ||
      !time_node(bench, enqueue_empty, workload, true, &sweep)) {
    return false;
  }
  *us = pair - sweep + bench->empty_node;
  return true;
}

bool bench_measure_empty(struct bench_run *bench) {
  bench->empty_node = -1;
  return !bench->has_lower_bounds ||
         time_node(bench, enqueue_empty, NULL, false, &bench->empty_node);
}

bool bench_measure_workload(struct bench_run *bench, const struct bench_workload *workload,
                            bool full, struct bench_times *times) {
  const bool bounds = bench->has_lower_bounds;
  *times = (struct bench_times){-1, -1, -1, -1, -1, -1, -1};
  bool done = time_node(bench, enqueue_direct, workload, false, &times->direct) &&
              (!bounds || time_node(bench, enqueue_copy, workload, false, &times->copy));
  if (!done || !full) return done;
  done = (!bounds || time_flushed(bench, enqueue_direct, workload, &times->direct_flushed)) &&
         (!bounds || time_flushed(bench, enqueue_copy, workload, &times->copy_flushed));
  if (!done || !workload->has_alternatives) return done;
  return time_node(bench, enqueue_table, workload, false, &times->table) &&
         time_node(bench, enqueue_table_with_copy, workload, false, &times->table_with_copy) &&
         time_node(bench, enqueue_each_backend, workload, false, &times->each_backend);
}

/* The mean over few enough calls that the stream's queue holds them all: no call waits for the GPU.
 */
static bool time_calls(struct bench_run *bench, enqueue call, const struct bench_workload *workload,
                       double *us) {
  CUresult result = CUDA_SUCCESS;
  const double start = clock_microseconds();
  for (int i = 0; i < HOST_CALLS && result == CUDA_SUCCESS; ++i) result = call(bench, workload);
  *us = (clock_microseconds() - start) / HOST_CALLS;
  return good(bench, "a call", result) &&
         good(bench, "cuStreamSynchronize",
              bench->session.driver.cuStreamSynchronize(bench->session.stream));
}

/* The calls take turns, so that all run under the same conditions. Takes the median of the rounds.
 */
bool bench_measure_host(struct bench_run *bench, const struct bench_workload *draft,
                        const struct bench_workload *iteration, struct bench_host_times *times) {
  static const enqueue calls[] = {enqueue_empty,           enqueue_direct,       enqueue_table,
                                  enqueue_table_with_copy, enqueue_each_backend, enqueue_direct};
  enum { COUNT = sizeof calls / sizeof calls[0] };
  const struct bench_workload *const workloads[COUNT] = {draft, draft, draft,
                                                         draft, draft, iteration};
  double *const results[COUNT] = {&times->empty,           &times->direct,       &times->table,
                                  &times->table_with_copy, &times->each_backend, &times->iteration};
  struct time_samples samples[COUNT] = {{NULL, 0, 0}};
  bool done = true;
  for (int64_t round = -1; round < bench->replays && done; ++round) {
    for (int c = 0; c < COUNT && done; ++c) {
      double sample = 0;
      if (c == 0 && !bench->has_lower_bounds) continue;
      done = time_calls(bench, calls[c], workloads[c], &sample);
      if (done && round >= 0) done = samples_add(&samples[c], sample);
    }
  }
  for (int c = 0; c < COUNT; ++c) {
    *results[c] = done ? samples_percentiles(&samples[c]).p50 : -1;
    free(samples[c].values);
  }
  return done;
}
