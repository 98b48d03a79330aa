/*
 * fiber.c: the switch of stacks, and the sanitizers' annotations of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fiber.h"

#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* The fiber that the running one was switched from. One block runs at a time. */
static struct fiber *previous;
static struct fiber *running;

#ifdef FIBER_UCONTEXT

static void set_entry(struct fiber *f, void (*entry)(void)) {
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = (void *)(uintptr_t)f->stack;
  f->context.uc_stack.ss_size = f->stack_size;
  f->context.uc_link = NULL;
  makecontext(&f->context, entry, 0);
}

static void swap_stacks(struct fiber *from, struct fiber *to) {
  swapcontext(&from->context, &to->context);
}

#else

/* Saves the registers that a call preserves, and restores them from another stack. */
void fiber_swap_stacks(void **save, void *load);
__asm__(
    ".text\n"
    ".globl fiber_swap_stacks\n"
    ".hidden fiber_swap_stacks\n"
    ".type fiber_swap_stacks, @function\n"
    "fiber_swap_stacks:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n"
    ".size fiber_swap_stacks, .-fiber_swap_stacks\n");

static void set_entry(struct fiber *f, void (*entry)(void)) {
  enum { SAVED_REGISTERS = 6 };
  uintptr_t frame[SAVED_REGISTERS + 2] = {0};
  frame[SAVED_REGISTERS] = (uintptr_t)entry; /* where the switch returns to */
  const uintptr_t top = ((uintptr_t)f->stack + f->stack_size) / 16 * 16;
  f->stack_pointer = (void *)(top - sizeof frame);
  memcpy(f->stack_pointer, frame, sizeof frame);
}

static void swap_stacks(struct fiber *from, struct fiber *to) {
  fiber_swap_stacks(&from->stack_pointer, to->stack_pointer);
}

#endif

void fiber_make(struct fiber *f, void *stack, size_t stack_size, void (*entry)(void)) {
  memset(f, 0, sizeof *f);
  f->stack = stack;
  f->stack_size = stack_size;
  fiber_reset(f, entry);
}

void fiber_reset(struct fiber *f, void (*entry)(void)) {
#ifdef FIBER_ASAN
  __asan_unpoison_memory_region(f->stack, f->stack_size);
  f->fake_stack = NULL;
#endif
#ifdef FIBER_TSAN
  if (f->thread_state) __tsan_destroy_fiber(f->thread_state);
  f->thread_state = __tsan_create_fiber(0);
#endif
  set_entry(f, entry);
}

void fiber_of_thread(struct fiber *f) {
  memset(f, 0, sizeof *f);
#ifdef FIBER_TSAN
  f->thread_state = __tsan_get_current_fiber();
#endif
}

void fiber_entered(void) {
#ifdef FIBER_ASAN
  const void *stack = NULL;
  size_t stack_size = 0;
  __sanitizer_finish_switch_fiber(running->fake_stack, &stack, &stack_size);
  previous->stack = stack;
  previous->stack_size = stack_size;
#endif
}

void fiber_switch(struct fiber *from, struct fiber *to) {
  previous = from;
  running = to;
#ifdef FIBER_ASAN
  __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_size);
#endif
#ifdef FIBER_TSAN
  __tsan_switch_to_fiber(to->thread_state, 0);
#endif
  swap_stacks(from, to);
  fiber_entered();
}
