/*
 * translation.h: a language for the C library's messages that no machine has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TRANSLATION_H
#define UDM_TESTS_TRANSLATION_H

#include <stdbool.h>

/* An English text of the C library and its translation. Ordered by the English text. */
struct translated {
  const char *english;
  const char *foreign;
};

/*
 * Writes catalogues into the folder and makes the process use them. Returns false if the C library
 * has no locale but "C", in which it translates nothing.
 */
bool speak_foreign(const char *folder, const struct translated *texts, int count);
void speak_english(void);

#endif
