/*
 * calls.c: what every function of the fake driver shares: the lock, the counts of calls, the faults
 * that the environment asks for, and the registry of the objects that the driver created.
 *
 * UDM_FAKE_CUDA_FAIL="cuLaunchKernel:700,cuMemAlloc_v2:2:3" makes every cuLaunchKernel return 700
 * and the third cuMemAlloc_v2 return 2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/numbers/random.h"
#include "fake_cuda.h"
#include "faults.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = {
#define NAME(name, version, parameters) #name,
    CUDA_DRIVER_FUNCTIONS(NAME)
#undef NAME
};

enum { NAMES = sizeof names / sizeof names[0] };

static int64_t counts[NAMES];

/* A name in both lists counts at its first place. */
static int find_name(const char *name) {
  for (int n = 0; n < NAMES; ++n) {
    if (strcmp(names[n], name) == 0) return n;
  }
  return -1;
}

int64_t fake_cuda_calls(const char *name) {
  int64_t calls = 0;
  pthread_mutex_lock(&lock);
  if (name) {
    const int n = find_name(name);
    calls = n < 0 ? -1 : counts[n];
  } else {
    for (int n = 0; n < NAMES; ++n) calls += counts[n];
  }
  pthread_mutex_unlock(&lock);
  return calls;
}

int fake_cuda_live_code(void) {
  pthread_mutex_lock(&lock);
  const int count = handle_count(HANDLE_MODULE) + handle_count(HANDLE_LIBRARY) +
                    handle_count(HANDLE_KERNEL) + handle_count(HANDLE_FUNCTION) +
                    handle_count(HANDLE_LINK);
  pthread_mutex_unlock(&lock);
  return count;
}

void fake_cuda_reset_calls(void) {
  pthread_mutex_lock(&lock);
  memset(counts, 0, sizeof counts);
  pthread_mutex_unlock(&lock);
}

/* The error that UDM_FAKE_CUDA_FAIL names for this call of the function. */
static CUresult injected_fault(const char *function, int64_t call) {
  const char *rest = getenv("UDM_FAKE_CUDA_FAIL");
  const size_t length = strlen(function);
  while (rest && *rest) {
    if (strncmp(rest, function, length) == 0 && rest[length] == ':') {
      char *end = NULL;
      const CUresult error = (CUresult)strtol(rest + length + 1, &end, 10);
      const long long nth = *end == ':' ? strtoll(end + 1, NULL, 10) : call;
      if (nth == call) return error;
    }
    rest = strchr(rest, ',');
    if (rest) ++rest;
  }
  return CUDA_SUCCESS;
}

CUresult fake_cuda_enter(const char *function, unsigned int requirements) {
  pthread_mutex_lock(&lock);
  faults_begin(function);
  const int64_t call = ++counts[find_name(function)];
  const CUresult fault = injected_fault(function, call);
  if (fault != CUDA_SUCCESS) return fault;
  if (requirements != NEEDS_NOTHING && !devices_are_initialised()) {
    return CUDA_ERROR_NOT_INITIALIZED;
  }
  if (requirements & NEEDS_CONTEXT) {
    const CUresult result = context_check_current();
    if (result != CUDA_SUCCESS) return result;
  }
  if (requirements & UNSAFE_IN_CAPTURE) return capture_refuse_unsafe_call();
  return CUDA_SUCCESS;
}

CUresult fake_cuda_leave(CUresult result) {
  faults_end();
  pthread_mutex_unlock(&lock);
  return result;
}

uint64_t fake_cuda_random(void) {
  static uint64_t state;
  static bool seeded;
  if (!seeded) {
    const char *seed = getenv("UDM_FAKE_CUDA_SEED");
    state = seed ? strtoull(seed, NULL, 10) : 0;
    seeded = true;
  }
  return random_next(&state);
}

static struct handle *first;

void handle_register(struct handle *object, enum handle_kind kind, CUcontext owner,
                     void (*destroy)(struct handle *object)) {
  *object = (struct handle){kind, owner, destroy, first};
  first = object;
}

bool handle_is_live(const void *object, enum handle_kind kind) {
  for (const struct handle *h = first; h; h = h->next) {
    if ((const void *)h == object) return h->kind == kind;
  }
  return false;
}

void handle_destroy(struct handle *object) {
  struct handle **link = &first;
  while (*link && *link != object) link = &(*link)->next;
  if (!*link) return;
  *link = object->next;
  object->destroy(object);
}

/* Starts over after each object: destroying a module destroys its functions too. */
void handle_destroy_all_of(CUcontext owner) {
  struct handle *h = first;
  while (h) {
    if (h->owner == owner) {
      handle_destroy(h);
      h = first;
    } else {
      h = h->next;
    }
  }
}

struct handle *handle_next(enum handle_kind kind, const struct handle *after) {
  struct handle *h = after ? after->next : first;
  while (h && h->kind != kind) h = h->next;
  return h;
}

int handle_count(enum handle_kind kind) {
  int count = 0;
  for (struct handle *h = handle_next(kind, NULL); h; h = handle_next(kind, h)) ++count;
  return count;
}
