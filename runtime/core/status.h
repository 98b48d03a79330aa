/*
 * status.h: how a failure is reported. The function in which something fails
 * writes the message into the error that its caller gave it, by one of the
 * setters below (one per origin), and returns the status that the setter
 * returned. Callers pass both on. Only public functions touch the text that
 * udm_last_error() returns: they pass udm_thread_error() down.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_STATUS_H
#define UDM_RUNTIME_CORE_STATUS_H

#include "udm.h"

#define UDM_MESSAGE_SIZE 8192

/* The size of the text of a short error: why a file, a folder or a candidate cannot be used. */
#define UDM_REASON_SIZE 256

/*
 * Where a failing function writes its message: a buffer of the caller's. Wherever
 * a `struct error *` is a parameter, NULL drops the message. A function that
 * succeeds leaves the text as it is. The arguments of a message must not point
 * into the text that they replace.
 */
struct error {
  char *text;
  size_t size;
};

extern struct error udm_last_error_of_thread;

/*
 * The error whose text udm_last_error() returns in this thread. For public functions
 * alone. The thread's buffer is looked up only if a message is set: a launch that
 * succeeds pays nothing.
 */
static inline struct error *udm_thread_error(void) { return &udm_last_error_of_thread; }

/* The text of an error: "" if the error is NULL. */
const char *udm_error_text(const struct error *error);

/* An invalid argument, or a failure with none of the origins below. */
udm_status udm_fail(struct error *error, udm_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A libc call: ": " and strerror(number) follow the message. */
udm_status udm_fail_errno(struct error *error, udm_status status, int number, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

/* malloc returned NULL. */
udm_status udm_fail_memory(struct error *error, const char *what, size_t bytes);

/* strerror for any thread, in a buffer of the caller's. */
#define UDM_ERRNO_TEXT_SIZE 128
const char *udm_errno_text(int number, char buffer[UDM_ERRNO_TEXT_SIZE]);

/* Lengthens the message that a setter has just written. */
void udm_extend_error(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends to the text in a buffer of `size` bytes. Cuts what does not fit. */
void udm_append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
