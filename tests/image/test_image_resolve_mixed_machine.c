/*
 * test_image_resolve_mixed_machine.c: one process, devices of many generations: several
 * contexts a device, several handles a context, created and destroyed in any
 * order, by several threads. Each gets an image that its device runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case_runner.h"
#include "image_fixture.h"

/* NVRTC 13.0 does not know 7.0 (the shipped PTX serves it) nor 15.0 (its own PTX does). */
static const struct machine mixed = {.nvrtc = "13.0", .nvrtc_archs = "75,80,86,90,100,120"};

struct served {
  int device_arch;
  int image_arch;
};

static const struct served devices[] = {{70, 70},   {75, 75},   {80, 80},   {86, 86},
                                        {89, 86},   {90, 90},   {100, 100}, {103, 100},
                                        {120, 120}, {121, 120}, {150, 150}};

enum { DEVICES = sizeof devices / sizeof devices[0] };

/* A context with handles in it. */
enum { HANDLES = 2 };
struct place {
  const struct served *device;
  CUcontext context;
  CUstream stream;
  udm_context *handles[HANDLES];
};

/* NULL, or what went wrong; cmocka's assertions belong to the main thread alone. */
static const char *open_place(struct image_fixture *l, const udm_options *options, struct place *p,
                              const struct served *device) {
  p->device = device;
  if (l->driver.cuCtxCreate_v2(&p->context, 0, device_of(device->device_arch)) != CUDA_SUCCESS) {
    return "cuCtxCreate";
  }
  if (l->driver.cuStreamCreate(&p->stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) {
    return "cuStreamCreate";
  }
  for (int h = 0; h < HANDLES; ++h) {
    udm_context_info info = UDM_CONTEXT_INFO_INIT;
    if (udm_create(options, &p->handles[h]) != UDM_OK) return udm_last_error();
    if (udm_get_context_info(p->handles[h], &info) != UDM_OK) return udm_last_error();
    if (info.device_arch != device->device_arch) return "another device's handle";
    if (info.image_arch != device->image_arch) return "an image of another architecture";
  }
  return NULL;
}

static const char *close_place(struct image_fixture *l, struct place *p, int first) {
  udm_destroy(p->handles[first]);
  udm_destroy(p->handles[!first]);
  return l->driver.cuCtxDestroy_v2(p->context) == CUDA_SUCCESS ? NULL : "cuCtxDestroy";
}

/* Runs a small case through one of the place's handles and compares every byte. */
static const char *use_place(struct image_fixture *l, struct place *p, int which, uint64_t seed) {
  static _Thread_local char text[DECODE_CASE_TEXT_SIZE];
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  struct decode_case *c = NULL;
  bool matches = false;
  request.seed = seed;
  request.batch_size = 3;
  request.max_len = 40;
  struct case_runner runner = CASE_RUNNER_INIT(&l->driver, p->handles[which], p->stream);
  l->driver.cuCtxSetCurrent(p->context);
  const bool ran = decode_case_create(&request, &c) == UDM_OK && case_runner_upload(&runner, c) &&
                   case_runner_launch(&runner, c) &&
                   case_runner_compare(&runner, c, &matches, text, sizeof text);
  if (!ran) snprintf(text, sizeof text, "%.500s", runner.error);
  case_runner_release(&runner);
  decode_case_destroy(c);
  return ran && matches ? NULL : text;
}

static void check_told(const char *problem, const struct served *device) {
  if (problem) fail_msg("sm_%d: %s", device->device_arch, problem);
}

/* A permutation that the seed decides. */
static void shuffle(int *order, int count, unsigned int seed) {
  for (int i = 0; i < count; ++i) order[i] = i;
  for (int i = count - 1; i > 0; --i) {
    seed = seed * 1103515245u + 12345u;
    const int j = (int)(seed >> 16) % (i + 1);
    const int swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
}

/* Two contexts of every device at once, used and destroyed in three different orders. */
static void test_in_any_order(void **state) {
  enum { PLACES = 2 * DEVICES };
  struct image_fixture *l = *state;
  machine_set(l, &mixed);
  for (unsigned int seed = 1; seed <= 3; ++seed) {
    struct place places[PLACES];
    int order[PLACES];
    memset(places, 0, sizeof places);
    shuffle(order, PLACES, seed);
    for (int i = 0; i < PLACES; ++i) {
      const struct served *device = &devices[order[i] / 2];
      check_told(open_place(l, &l->options, &places[order[i]], device), device);
    }
    shuffle(order, PLACES, seed + 100);
    for (int i = 0; i < PLACES; ++i) {
      struct place *p = &places[order[i]];
      check_told(use_place(l, p, i % HANDLES, seed * 1000 + (unsigned)i), p->device);
    }
    l->driver.cuCtxSetCurrent(NULL);
    shuffle(order, PLACES, seed + 200);
    for (int i = 0; i < PLACES; ++i) {
      struct place *p = &places[order[i]];
      check_told(close_place(l, p, i % HANDLES), p->device);
    }
    assert_int_equal(l->live_code(), 0);
  }
}

/* A handle that goes takes nothing of its neighbour's with it. */
static void test_a_handle_outlives_the_others(void **state) {
  struct image_fixture *l = *state;
  struct place one = {NULL, NULL, NULL, {NULL}};
  struct place two = {NULL, NULL, NULL, {NULL}};
  const struct served *device = &devices[5];
  machine_set(l, &mixed);
  check_told(open_place(l, &l->options, &one, device), device);
  check_told(open_place(l, &l->options, &two, device), device);
  l->driver.cuCtxSetCurrent(two.context);
  udm_destroy(one.handles[0]); /* another context is current */
  one.handles[0] = NULL;
  check_told(use_place(l, &one, 1, 1), device);
  check_told(close_place(l, &one, 0), device);
  check_told(use_place(l, &two, 0, 2), device);
  check_told(close_place(l, &two, 1), device);
  assert_int_equal(l->live_code(), 0);
}

/* What one thread does: every device, from its own start, in contexts of its own. */
struct worker {
  struct image_fixture *l;
  int start;
  CUcontext context;
  const char *problem;
  char text[512];
};

static void *work(void *argument) {
  struct worker *w = argument;
  udm_options options = w->l->options;
  options.log = NULL; /* it is not the fixture's to share between threads */
  for (int i = 0; i < DEVICES && !w->problem; ++i) {
    struct place p = {NULL, NULL, NULL, {NULL}};
    const struct served *device = &devices[(w->start + i) % DEVICES];
    w->problem = open_place(w->l, &options, &p, device);
    if (!w->problem) w->problem = use_place(w->l, &p, i % HANDLES, (uint64_t)(w->start + i));
    if (w->problem) {
      snprintf(w->text, sizeof w->text, "sm_%d: %.400s", device->device_arch, w->problem);
      w->problem = w->text;
    }
    close_place(w->l, &p, i % HANDLES);
  }
  return NULL;
}

static void test_by_several_threads(void **state) {
  enum { THREADS = 4 };
  struct image_fixture *l = *state;
  pthread_t threads[THREADS];
  struct worker workers[THREADS];
  memset(workers, 0, sizeof workers);
  machine_set(l, &mixed);
  for (int t = 0; t < THREADS; ++t) {
    workers[t].l = l;
    workers[t].start = 3 * t;
    assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
  }
  for (int t = 0; t < THREADS; ++t) assert_int_equal(pthread_join(threads[t], NULL), 0);
  for (int t = 0; t < THREADS; ++t) {
    if (workers[t].problem) fail_msg("thread %d: %s", t, workers[t].problem);
  }
  assert_int_equal(l->live_code(), 0);
}

/* In a context of before the capture: making one is itself no call for then. */
static void *create_and_destroy(void *argument) {
  struct worker *w = argument;
  udm_context *udm = NULL;
  if (w->l->driver.cuCtxSetCurrent(w->context) != CUDA_SUCCESS) w->problem = "cuCtxSetCurrent";
  if (udm_create(&w->l->options, &udm) != UDM_OK) w->problem = "udm_create";
  if (w->problem) snprintf(w->text, sizeof w->text, "%s: %.400s", w->problem, udm_last_error());
  udm_destroy(udm);
  return NULL;
}

/* Making a handle while streams are being captured disturbs no capture, whoever makes it. */
static void test_during_a_capture(void **state) {
  struct image_fixture *l = *state;
  struct place p = {NULL, NULL, NULL, {NULL}};
  CUgraph graph = NULL;
  struct worker other = {l, 0, NULL, NULL, ""};
  pthread_t thread;
  machine_set(l, &mixed);
  check_told(open_place(l, &l->options, &p, &devices[5]), &devices[5]);
  udm_destroy(p.handles[1]);
  other.context = p.context;
  assert_int_equal(l->driver.cuStreamBeginCapture_v2(p.stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
                   CUDA_SUCCESS);
  assert_int_equal(udm_create(&l->options, &p.handles[1]), UDM_OK);
  udm_destroy(p.handles[1]);
  assert_int_equal(udm_create(&l->options, &p.handles[1]), UDM_OK);
  assert_int_equal(pthread_create(&thread, NULL, create_and_destroy, &other), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  if (other.problem) fail_msg("%s", other.text);
  assert_int_equal(l->driver.cuStreamEndCapture(p.stream, &graph), CUDA_SUCCESS);
  assert_int_equal(l->driver.cuGraphDestroy(graph), CUDA_SUCCESS);
  check_told(use_place(l, &p, 1, 7), p.device);
  check_told(close_place(l, &p, 0), p.device);
  assert_int_equal(l->live_code(), 0);
}

/* A driver without capture modes refuses by its own status, and says what to do. */
static void test_a_driver_that_cannot_during_a_capture(void **state) {
  struct image_fixture *l = *state;
  struct machine old = mixed;
  udm_context *udm = NULL;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  old.driver_lacks = "cuThreadExchangeStreamCaptureMode";
  machine_set(l, &old);
  CUcontext context = context_open(l, 90);
  assert_int_equal(l->driver.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  assert_int_equal(l->driver.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
  assert_int_equal(udm_create(&l->options, &udm), UDM_ERROR_CAPTURE);
  assert_null(udm);
  assert_non_null(strstr(udm_last_error(), "call udm_create before the capture"));
  assert_true(l->driver.cuStreamEndCapture(stream, &graph) != CUDA_SUCCESS);
  assert_int_equal(udm_create(&l->options, &udm), UDM_OK);
  udm_destroy(udm);
  context_close(l, context);
  assert_int_equal(l->live_code(), 0);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_in_any_order),
      TEST(test_a_handle_outlives_the_others),
      TEST(test_by_several_threads),
      TEST(test_during_a_capture),
      TEST(test_a_driver_that_cannot_during_a_capture),
  };
  return cmocka_run_group_tests_name("mixed machine", tests, NULL, NULL);
}
