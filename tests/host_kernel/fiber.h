/*
 * Fibers: stacks that take turns on one operating system thread, without a
 * system call per switch (x86-64; other machines use ucontext). Sanitizers are
 * told about every switch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FIBER_H
#define UDM_TESTS_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#if !defined(__x86_64__) || defined(HOST_KERNEL_UCONTEXT)
#define FIBER_UCONTEXT 1
#include <ucontext.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct fiber {
  const void *stack; /* lowest address; NULL until known for a fiber that is a thread's own stack */
  size_t stack_size;
#ifdef FIBER_UCONTEXT
  ucontext_t context;
#else
  void *stack_pointer;
#endif
  void *fake_stack;   /* AddressSanitizer's */
  void *thread_state; /* ThreadSanitizer's */
};

/* Makes a suspended fiber on the given stack. The entry must never return. */
void fiber_make(struct fiber *f, void *stack, size_t stack_size, void (*entry)(void));

/* Makes f again a suspended fiber that begins at entry, wherever it was suspended. */
void fiber_reset(struct fiber *f, void (*entry)(void));

/* Makes a fiber of the caller's own stack, to switch from. */
void fiber_of_thread(struct fiber *f);

/* Suspends `from`, which is running, and resumes `to`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* The first thing that a fiber's entry calls. */
void fiber_entered(void);

#ifdef __cplusplus
}
#endif

#endif
