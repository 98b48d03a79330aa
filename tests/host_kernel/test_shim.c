/*
 * test_shim.c: CUDA's execution model on the CPU. Warp operations are exact, barriers hold, misuse
 * is reported, the order follows the seed, shared memory is poisoned, parameters follow the
 * signature.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim_kernels.h"

static char text[HOST_KERNEL_TEXT_SIZE];

static bool launch(const char *name, uint32_t blocks, uint32_t threads, void *const *parameters,
                   uint64_t seed) {
  return host_kernel_launch(shim_kernel(name), (struct host_kernel_dim3){blocks, 1, 1},
                            (struct host_kernel_dim3){threads, 1, 1}, parameters, seed, text);
}

/* The result of one lane, by the CUDA guide. */
static int expected_lane(int operation, int lane, int delta, int width) {
  const int first = lane - lane % width;
  int source = lane;
  if (operation == 0) source = first + delta % width;
  if (operation == 1) source = lane - delta;
  if (operation == 2) source = lane + delta;
  if (operation == 3) source = lane ^ delta;
  if (operation == 1 && source < first) return lane;
  if (operation >= 2 && source >= first + width) return lane;
  return source;
}

static void test_shuffles_are_exact(void **state) {
  (void)state;
  int out[4 * 64];
  int *pointer = out;
  for (int width = 1; width <= 32; width *= 2) {
    for (int delta = 0; delta < 32; ++delta) {
      void *parameters[] = {&pointer, &delta, &width};
      assert_true(launch("shuffles", 1, 64, parameters, (uint64_t)(100 * width + delta)));
      for (int t = 0; t < 64; ++t) {
        for (int operation = 0; operation < 4; ++operation) {
          const int source = t / 32 * 32 + expected_lane(operation, t % 32, delta, width);
          assert_int_equal(out[4 * t + operation], 1000 + source);
        }
      }
    }
  }
}

static void test_halves_of_a_warp_are_independent(void **state) {
  (void)state;
  unsigned ballots[32];
  double values[32];
  unsigned *ballots_pointer = ballots;
  double *values_pointer = values;
  void *parameters[] = {&ballots_pointer, &values_pointer};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    assert_true(launch("masked", 1, 32, parameters, seed));
    for (unsigned t = 0; t < 32; ++t) {
      /* multiples of 3 below 16; multiples of 5 from 16 */
      assert_int_equal(ballots[t], t < 16 ? 0x9249 : 0x42100000);
      const double want = t < 15 ? 1.5 + t : (t == 15 ? 15.5 : 31.25);
      assert_true(values[t] >= want && values[t] <= want);
    }
  }
}

static void test_a_barrier_holds_all_threads(void **state) {
  (void)state;
  static const struct host_kernel_dim3 blocks[] = {{1, 1, 1}, {33, 1, 1}, {8, 8, 8}, {1024, 1, 1}};
  int in[HOST_KERNEL_MAX_THREADS];
  int out[HOST_KERNEL_MAX_THREADS];
  int *in_pointer = in;
  int *out_pointer = out;
  void *parameters[] = {&out_pointer, &in_pointer};
  for (int i = 0; i < HOST_KERNEL_MAX_THREADS; ++i) in[i] = 7 * i;
  for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; ++b) {
    const int count = (int)(blocks[b].x * blocks[b].y * blocks[b].z);
    memset(out, 0xff, sizeof out);
    assert_true(host_kernel_launch(shim_kernel("reverse"), (struct host_kernel_dim3){2, 2, 2},
                                   blocks[b], parameters, b, text));
    for (int i = 0; i < count; ++i) assert_int_equal(out[i], 7 * (count - 1 - i));
  }
}

static void test_one_true_reaches_all_threads(void **state) {
  (void)state;
  int out[96];
  int *pointer = out;
  for (uint32_t who = 0; who <= 96; ++who) { /* 96 is no thread */
    void *parameters[] = {&pointer, &who};
    assert_true(launch("votes", 1, 96, parameters, who));
    for (uint32_t t = 0; t < 96; ++t) {
      assert_int_equal(out[t], (who < 96 ? 2 : 0) | (t / 32 == who / 32 ? 8 : 0));
    }
  }
}

/* A kernel without its barrier must not pass by luck. */
static void test_a_missing_barrier_shows(void **state) {
  (void)state;
  int in[64];
  int out[64];
  int *in_pointer = in;
  int *out_pointer = out;
  void *parameters[] = {&out_pointer, &in_pointer};
  for (int i = 0; i < 64; ++i) in[i] = 7 * i;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    int wrong = 0;
    assert_true(launch("reverse_without_barrier", 1, 64, parameters, seed));
    for (int i = 0; i < 64; ++i) wrong += out[i] != in[63 - i];
    assert_true(wrong > 0);
  }
}

/* A warp may run so far ahead that it overwrites values before others read them. */
static void test_a_missing_second_barrier_shows(void **state) {
  (void)state;
  int in[256];
  int out[256];
  int *in_pointer = in;
  int *out_pointer = out;
  void *parameters[] = {&out_pointer, &in_pointer};
  int wrong = 0;
  for (int i = 0; i < 256; ++i) in[i] = 7 * i;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    assert_true(launch("reuse_without_barrier", 1, 256, parameters, seed));
    for (int i = 0; i < 256; ++i) wrong += out[i] != in[255 - i];
  }
  assert_true(wrong > 0);
}

enum { ORDER_BLOCKS = 12, ORDER_THREADS = 40, ORDER_COUNT = ORDER_BLOCKS * ORDER_THREADS };

struct order {
  unsigned next;
  unsigned threads[ORDER_COUNT];
  unsigned blocks[ORDER_COUNT];
};

static struct order record_order(uint64_t seed) {
  struct order o;
  memset(&o, 0, sizeof o);
  unsigned *next = &o.next;
  unsigned *threads = o.threads;
  unsigned *blocks = o.blocks;
  void *parameters[] = {&next, &threads, &blocks};
  assert_true(host_kernel_launch(shim_kernel("record_order"), (struct host_kernel_dim3){2, 3, 2},
                                 (struct host_kernel_dim3){ORDER_THREADS, 1, 1}, parameters, seed,
                                 text));
  assert_int_equal(o.next, ORDER_COUNT);
  return o;
}

static void test_every_thread_of_every_block_runs_once(void **state) {
  (void)state;
  int seen[ORDER_BLOCKS][ORDER_THREADS] = {{0}};
  const struct order o = record_order(1);
  for (int i = 0; i < ORDER_COUNT; ++i) ++seen[o.blocks[i]][o.threads[i]];
  for (int b = 0; b < ORDER_BLOCKS; ++b) {
    for (int t = 0; t < ORDER_THREADS; ++t) assert_int_equal(seen[b][t], 1);
  }
}

static void test_the_order_follows_the_seed(void **state) {
  (void)state;
  const struct order first = record_order(1);
  const struct order again = record_order(1);
  const struct order other = record_order(2);
  assert_memory_equal(&first, &again, sizeof first);
  assert_memory_not_equal(first.threads, other.threads, sizeof first.threads);
  assert_memory_not_equal(first.blocks, other.blocks, sizeof first.blocks);
}

static void test_shared_memory_is_poisoned_for_every_block(void **state) {
  (void)state;
  unsigned out[64];
  unsigned *pointer = out;
  void *parameters[] = {&pointer};
  assert_true(launch("read_unwritten_shared", 64, 32, parameters, 9));
  int zeros = 0, repeats = 0;
  for (int i = 1; i < 64; ++i) {
    zeros += out[i] == 0;
    repeats += out[i] != 0 && out[i] == out[i - 1];
  }
  assert_in_range(zeros, 4, 32);
  assert_true(repeats < 4);
}

static void test_threads_that_ended_are_not_waited_for(void **state) {
  (void)state;
  int out[64] = {0};
  int *pointer = out;
  void *parameters[] = {&pointer};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    memset(out, 0, sizeof out);
    assert_true(launch("early_return", 1, 64, parameters, seed));
    for (int i = 0; i < 64; ++i) assert_int_equal(out[i], i % 2 == 0);
  }
}

/* The launch must fail with `want` in its text, and the next launch must work. */
static void check_misuse(const char *name, uint32_t threads, const char *want) {
  int out[HOST_KERNEL_MAX_THREADS] = {0};
  int *pointer = out;
  void *parameters[] = {&pointer};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    assert_false(launch(name, 3, threads, parameters, seed));
    if (!strstr(text, want)) fail_msg("%s: '%s' lacks '%s'", name, text, want);
    assert_true(launch("early_return", 1, threads, parameters, seed));
  }
}

static void test_misuse_is_reported(void **state) {
  (void)state;
  check_misuse("barrier_in_one_branch", 32, "a barrier of line");
  check_misuse("barrier_in_one_branch", 32, "a warp operation of line");
  check_misuse("barriers_of_two_lines", 64, "some threads are at the barrier of line");
  check_misuse("shuffle_with_ended_lane", 32, "waits for ever at a warp operation of line");
  check_misuse("shuffle_with_ended_lane", 3, "waits for ever at a warp operation of line");
  check_misuse("mask_without_caller", 64, "its mask does not name the calling lane");
  check_misuse("width_of_three", 32, "its width is not a power of two");
}

static void test_parameters_arrive_by_signature(void **state) {
  (void)state;
  unsigned char out[22];
  unsigned char storage[32]; /* the values lie at odd addresses */
  unsigned char want[22];
  unsigned char *pointer = out;
  for (size_t i = 0; i < sizeof storage; ++i) storage[i] = (unsigned char)(17 * i + 3);
  void *parameters[] = {&pointer,    storage + 1,  storage + 3,
                        storage + 5, storage + 13, storage + 19};
  memcpy(want, storage + 1, 1);
  memcpy(want + 1, storage + 3, 2);
  memcpy(want + 3, storage + 5, 8);
  memcpy(want + 11, storage + 13, 3);
  memcpy(want + 14, storage + 19, 8);
  assert_int_equal(shim_kernel("parameters")->parameter_count, 6);
  assert_true(launch("parameters", 1, 1, parameters, 0));
  assert_memory_equal(out, want, sizeof want);
  parameters[3] = NULL;
  assert_false(launch("parameters", 1, 1, parameters, 0));
}

static void test_launches_out_of_range_are_rejected(void **state) {
  (void)state;
  int *pointer = NULL;
  void *parameters[] = {&pointer};
  assert_false(launch("early_return", 0, 32, parameters, 0));
  assert_false(launch("early_return", 1, 0, parameters, 0));
  assert_false(launch("early_return", 1, HOST_KERNEL_MAX_THREADS + 1, parameters, 0));
  assert_null(host_kernel_find("no_such_kernel"));
}

/* It must neither hang nor let the test continue in the middle of a launch. */
static void test_a_fault_in_a_kernel_ends_the_process(void **state) {
  (void)state;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    int *nowhere = (int *)(uintptr_t)sysconf(_SC_PAGESIZE);
    void *parameters[] = {&nowhere};
    close(STDERR_FILENO);
    launch("write_to", 1, 32, parameters, 0);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shuffles_are_exact),
      cmocka_unit_test(test_halves_of_a_warp_are_independent),
      cmocka_unit_test(test_a_barrier_holds_all_threads),
      cmocka_unit_test(test_one_true_reaches_all_threads),
      cmocka_unit_test(test_a_missing_barrier_shows),
      cmocka_unit_test(test_a_missing_second_barrier_shows),
      cmocka_unit_test(test_every_thread_of_every_block_runs_once),
      cmocka_unit_test(test_the_order_follows_the_seed),
      cmocka_unit_test(test_shared_memory_is_poisoned_for_every_block),
      cmocka_unit_test(test_threads_that_ended_are_not_waited_for),
      cmocka_unit_test(test_misuse_is_reported),
      cmocka_unit_test(test_parameters_arrive_by_signature),
      cmocka_unit_test(test_a_fault_in_a_kernel_ends_the_process),
      cmocka_unit_test(test_launches_out_of_range_are_rejected),
  };
  return cmocka_run_group_tests_name("CUDA's execution model on the host", tests, NULL, NULL);
}
