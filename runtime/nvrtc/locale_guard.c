/*
 * locale_guard.c: remembers and restores locales.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc/locale_guard.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The locale is the process's, so what is remembered of it is, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int inside;
static char *of_process; /* NULL when memory was short: then nothing is restored */

void udm_locale_enter(struct locale_guard *guard) {
  guard->of_thread = uselocale((locale_t)0);
  pthread_mutex_lock(&lock);
  if (inside++ == 0) {
    const char *name = setlocale(LC_ALL, NULL);
    of_process = name ? strdup(name) : NULL;
  }
  pthread_mutex_unlock(&lock);
}

void udm_locale_leave(struct locale_guard *guard) {
  pthread_mutex_lock(&lock);
  if (--inside == 0) {
    const char *name = setlocale(LC_ALL, NULL);
    if (of_process && name && strcmp(name, of_process) != 0) setlocale(LC_ALL, of_process);
    free(of_process);
    of_process = NULL;
  }
  pthread_mutex_unlock(&lock);
  if (uselocale((locale_t)0) != guard->of_thread) uselocale(guard->of_thread);
}
