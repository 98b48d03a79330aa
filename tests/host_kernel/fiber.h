/*
 * fiber.h: fibers: stacks that take turns on one operating system thread, without a system call per
 * switch (x86-64; other machines use ucontext). The code reports every switch to the sanitizers.
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

/* Creates a suspended fiber on the given stack. The entry must never return. */
void fiber_make(struct fiber *f, void *stack, size_t stack_size, void (*entry)(void));

/* Resets f to a suspended fiber that begins at entry. */
void fiber_reset(struct fiber *f, void (*entry)(void));

/* A fiber for the caller's own stack, to switch from. */
void fiber_of_thread(struct fiber *f);

/* Suspends `from`, which is running, and resumes `to`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* A fiber's entry calls this first. */
void fiber_entered(void);

#ifdef __cplusplus
}
#endif

#endif
