/*
 * status.h: how every failure is told. A function that fails sets the thread's
 * message where the failure happens, by one of the setters below (one for each
 * origin), and returns the status that the setter returned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_STATUS_H
#define UDM_RUNTIME_CORE_STATUS_H

#include "udm.h"

#define UDM_MESSAGE_SIZE 8192

/* A fault of the caller, or of none of the origins below. */
udm_status udm_fail(udm_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A libc call: ": " and strerror(error) follow the message. */
udm_status udm_fail_errno(udm_status status, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* strerror, for any thread, in a buffer of the caller's. */
#define UDM_ERRNO_TEXT_SIZE 128
const char *udm_errno_text(int error, char buffer[UDM_ERRNO_TEXT_SIZE]);

/* Appends to a text in a buffer of `size` bytes; what does not fit is cut. For reasons and lists.
 */
void udm_append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* malloc returned NULL. */
udm_status udm_fail_memory(const char *what, size_t bytes);

#endif
