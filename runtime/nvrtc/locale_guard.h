/*
 * locale_guard.h: keeps the process's and the thread's locale as they are
 * around foreign code that changes them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_LOCALE_GUARD_H
#define UDM_RUNTIME_NVRTC_LOCALE_GUARD_H

#include <locale.h>

struct locale_guard {
  locale_t of_thread;
};

/*
 * NVRTC 11.8 sets LC_NUMERIC of the process, and the locale of the thread, and
 * leaves them so; newer ones put them back. Several threads may be inside: the
 * first to enter remembers the process's locale, the last to leave restores it.
 */
void udm_locale_enter(struct locale_guard *guard);
void udm_locale_leave(struct locale_guard *guard);

#endif
