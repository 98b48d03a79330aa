/*
 * block_scheduler.c: the threads of one block as fibers. A thread runs until it ends or must wait;
 * then the scheduler draws one of the ready threads. In every other block it prefers the thread
 * that became ready last, so that a warp runs far ahead of the others: an even draw hardly ever
 * does that, and only then do races between warps show. A fiber whose thread has ended continues
 * with the next thread that has not begun, so that threads which never wait cost no switch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "block_scheduler.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../../tools/numbers/random.h"
#include "fiber.h"
#include "warp.h"

enum { STACK_SIZE = 128 * 1024, GUARD_SIZE = 64 * 1024 };

enum thread_state { NOT_BEGUN, READY, AT_BARRIER, IN_WARP_OPERATION, ENDED };

struct thread {
  struct host_kernel_dim3 index;
  enum thread_state state;
  struct fiber *stack; /* NULL before the thread begins */
  int line;            /* at which it waits */
  struct warp_arrival arrival;
};

/* The running block. */
static struct {
  const struct host_kernel *kernel;
  void *const *parameters;
  uint64_t random;
  uint32_t thread_count;
  uint32_t live;
  uint32_t at_barrier;
  bool brought_to_barrier; /* by the threads that have arrived */
  bool result_of_barrier;  /* of the last barrier */
  uint32_t ready[HOST_KERNEL_MAX_THREADS];
  uint32_t ready_count;
  uint32_t current;
  bool prefer_latest;
  struct thread threads[HOST_KERNEL_MAX_THREADS];
  struct fiber *idle[HOST_KERNEL_MAX_THREADS];
  uint32_t idle_count;
  char *text; /* "" unless the block failed */
} block;

static struct fiber fibers[HOST_KERNEL_MAX_THREADS];
static struct fiber launcher;
static bool prepared;

struct host_kernel_dim3 threadIdx, blockIdx, blockDim, gridDim;

/* The storage of __shared__; absent if no kernel has any. */
extern unsigned char __start_udm_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_udm_shared[] __attribute__((weak, visibility("hidden")));

uint64_t block_scheduler_random(uint64_t *state) { return random_next(state); }

static void make_ready(uint32_t t) {
  block.threads[t].state = READY;
  block.ready[block.ready_count++] = t;
}

/* Makes all threads in that state ready, starting at a random one. */
static void make_all_ready(enum thread_state state) {
  const uint32_t count = block.thread_count;
  if (count == 0) return;
  const uint32_t start = (uint32_t)(block_scheduler_random(&block.random) % count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t t = start + i < count ? start + i : start + i - count;
    if (block.threads[t].state == state) make_ready(t);
  }
}

static const char *describe_wait(const struct thread *t) {
  return t->state == AT_BARRIER ? "a barrier" : "a warp operation";
}

/* No thread can run, yet some live: reports which thread waits at which line. */
static void report_stuck(void) {
  const struct thread *first = NULL;
  uint32_t first_index = 0;
  for (uint32_t t = 0; t < block.thread_count; ++t) {
    const struct thread *other = &block.threads[t];
    if (other->state == ENDED) continue;
    if (!first) {
      first = other;
      first_index = t;
    } else if (other->state != first->state || other->line != first->line) {
      snprintf(block.text, HOST_KERNEL_TEXT_SIZE,
               "block (%u, %u, %u): thread %u waits for ever at %s of line %d, thread %u at %s of "
               "line %d",
               blockIdx.x, blockIdx.y, blockIdx.z, first_index, describe_wait(first), first->line,
               t, describe_wait(other), other->line);
      return;
    }
  }
  if (!first) return; /* cannot happen: some thread lives */
  snprintf(block.text, HOST_KERNEL_TEXT_SIZE,
           "block (%u, %u, %u): thread %u waits for ever at %s of line %d for threads that ended "
           "or that its mask names wrongly",
           blockIdx.x, blockIdx.y, blockIdx.z, first_index, describe_wait(first), first->line);
}

/* Draws the thread that runs next. False if the block has ended or is stuck. */
static bool choose_next(void) {
  if (block.text[0] != '\0') return false;
  if (block.ready_count == 0) {
    if (block.live > 0) report_stuck();
    return false;
  }
  const uint64_t random = block_scheduler_random(&block.random);
  uint32_t pick = (uint32_t)(random % block.ready_count);
  if (block.prefer_latest && random >> 58 != 0) pick = block.ready_count - 1; /* 63 of 64 times */
  const uint32_t t = block.ready[pick];
  block.ready[pick] = block.ready[--block.ready_count];
  block.current = t;
  threadIdx = block.threads[t].index;
  return true;
}

/* Switches from the fiber `self` to the chosen thread, or to the launcher. */
static void leave(struct fiber *self, bool chosen) {
  struct fiber *to = &launcher;
  if (chosen) {
    to = block.threads[block.current].stack;
    if (!to) to = block.idle[--block.idle_count];
  }
  if (to != self) fiber_switch(self, to);
}

static void release_barrier(void) {
  const struct thread *first = NULL;
  for (uint32_t t = 0; t < block.thread_count; ++t) {
    if (block.threads[t].state != AT_BARRIER) continue;
    if (!first) first = &block.threads[t];
    if (block.threads[t].line != first->line) {
      snprintf(block.text, HOST_KERNEL_TEXT_SIZE,
               "block (%u, %u, %u): some threads are at the barrier of line %d, others at that of "
               "line %d",
               blockIdx.x, blockIdx.y, blockIdx.z, first->line, block.threads[t].line);
      return;
    }
  }
  block.at_barrier = 0;
  block.result_of_barrier = block.brought_to_barrier;
  block.brought_to_barrier = false;
  make_all_ready(AT_BARRIER);
}

static void end_thread(void) {
  block.threads[block.current].state = ENDED;
  block.threads[block.current].stack = NULL;
  --block.live;
  if (block.live > 0 && block.at_barrier == block.live) release_barrier();
}

/* Every fiber loops: it runs the thread that was chosen for it. */
static void run_threads(void) {
  fiber_entered();
  struct fiber *self = NULL;
  for (;;) {
    if (!self) self = block.idle[block.idle_count]; /* the one just taken */
    block.threads[block.current].stack = self;
    block.kernel->call(block.kernel->function, block.parameters);
    end_thread();
    const bool chosen = choose_next();
    if (chosen && !block.threads[block.current].stack) continue;
    block.idle[block.idle_count++] = self;
    leave(self, chosen);
  }
}

/* The running thread waits until it is made ready and drawn. */
static void wait_for_others(const struct thread *t) { leave(t->stack, choose_next()); }

bool block_scheduler_barrier(bool value, int line) {
  struct thread *t = &block.threads[block.current];
  t->state = AT_BARRIER;
  t->line = line;
  if (value) block.brought_to_barrier = true;
  if (++block.at_barrier == block.live) release_barrier();
  wait_for_others(t);
  return block
      .result_of_barrier; /* of this barrier: the next cannot end before this thread arrives */
}

/* Whether thread t waits in the same operation as the other. */
static bool in_same_operation(const struct thread *t, const struct thread *other) {
  return t->state == IN_WARP_OPERATION && t->line == other->line &&
         t->arrival.operation == other->arrival.operation && t->arrival.mask == other->arrival.mask;
}

static bool all_lanes_have_arrived(const struct thread *t, uint32_t first) {
  const uint32_t mask = t->arrival.mask;
  for (uint32_t lane = 0; lane < WARP_LANES; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    if (first + lane >= block.thread_count) return false;
    if (!in_same_operation(&block.threads[first + lane], t)) return false;
  }
  return true;
}

/* Releases the lanes of t's mask if all of them have arrived. */
static void complete_warp_operation(const struct thread *t, uint32_t first) {
  if (!all_lanes_have_arrived(t, first)) return;
  struct warp_arrival *lanes[WARP_LANES] = {NULL};
  const uint32_t mask = t->arrival.mask;
  for (uint32_t lane = 0; lane < WARP_LANES; ++lane) {
    if ((mask >> lane & 1u) != 0) lanes[lane] = &block.threads[first + lane].arrival;
  }
  warp_exchange(lanes, mask, &block.random);
  for (uint32_t lane = 0; lane < WARP_LANES; ++lane) {
    if ((mask >> lane & 1u) != 0) make_ready(first + lane);
  }
}

uint64_t block_scheduler_warp(enum warp_operation operation, uint32_t mask, uint64_t value,
                              uint32_t operand, uint32_t width, int line) {
  struct thread *t = &block.threads[block.current];
  const uint32_t lane = block.current % WARP_LANES;
  t->state = IN_WARP_OPERATION;
  t->line = line;
  t->arrival = (struct warp_arrival){operation, mask, operand, width, value, 0};
  const char *fault = warp_arrival_fault(&t->arrival, lane);
  if (fault) {
    snprintf(block.text, HOST_KERNEL_TEXT_SIZE,
             "block (%u, %u, %u): thread %u, a warp operation of line %d: %s", blockIdx.x,
             blockIdx.y, blockIdx.z, block.current, line, fault);
  } else {
    complete_warp_operation(t, block.current - lane);
  }
  wait_for_others(t);
  return t->arrival.result;
}

/* ---- the block ---- */

static void make_all_idle(void) {
  block.idle_count = 0;
  for (uint32_t f = 0; f < HOST_KERNEL_MAX_THREADS; ++f) {
    block.idle[block.idle_count++] = &fibers[f];
  }
}

bool block_scheduler_prepare(char *text) {
  const size_t step = STACK_SIZE + GUARD_SIZE;
  if (prepared) return true;
  unsigned char *stacks = mmap(NULL, step * HOST_KERNEL_MAX_THREADS, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED) {
    snprintf(text, HOST_KERNEL_TEXT_SIZE, "the stacks of a block's threads cannot be allocated");
    return false;
  }
  for (uint32_t f = 0; f < HOST_KERNEL_MAX_THREADS; ++f) {
    unsigned char *guard =
        stacks + f * step; /* an overrun faults instead of overwriting a neighbour */
    mprotect(guard, GUARD_SIZE, PROT_NONE);
    fiber_make(&fibers[f], guard + GUARD_SIZE, STACK_SIZE, run_threads);
  }
  make_all_idle();
  prepared = true;
  return true;
}

/* Random bytes; for some blocks zeros, as random words are large numbers, which a search skips. */
static void poison_shared_memory(void) {
  const bool is_zero = block_scheduler_random(&block.random) % 4 == 0;
  for (unsigned char *at = __start_udm_shared; at < __stop_udm_shared;) {
    const uint64_t bytes = is_zero ? 0 : block_scheduler_random(&block.random);
    const size_t left = (size_t)(__stop_udm_shared - at);
    const size_t count = left < sizeof bytes ? left : sizeof bytes;
    memcpy(at, &bytes, count);
    at += count;
  }
}

bool block_scheduler_run(const struct host_kernel *kernel, void *const *parameters, uint64_t seed,
                         char *text) {
  text[0] = '\0';
  block.kernel = kernel;
  block.parameters = parameters;
  block.random = seed;
  block.text = text;
  block.thread_count = blockDim.x * blockDim.y * blockDim.z;
  block.live = block.thread_count;
  block.at_barrier = 0;
  block.brought_to_barrier = false;
  block.ready_count = 0;
  block.prefer_latest = block_scheduler_random(&block.random) % 2 == 0;
  for (uint32_t t = 0; t < block.thread_count; ++t) {
    const uint32_t row = t / blockDim.x;
    block.threads[t].index =
        (struct host_kernel_dim3){t % blockDim.x, row % blockDim.y, row / blockDim.y};
    block.threads[t].stack = NULL;
    block.threads[t].state = NOT_BEGUN;
  }
  make_all_ready(NOT_BEGUN);
  poison_shared_memory();
  fiber_of_thread(&launcher);
  leave(&launcher, choose_next());
  if (text[0] == '\0') return true;
  for (uint32_t f = 0; f < HOST_KERNEL_MAX_THREADS; ++f) fiber_reset(&fibers[f], run_threads);
  make_all_idle();
  return false;
}
