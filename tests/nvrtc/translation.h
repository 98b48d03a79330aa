/*
 * translation.h: a language for the C library's messages that no machine has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TRANSLATION_H
#define UDM_TESTS_TRANSLATION_H

#include <stdbool.h>

/* An English text of the C library, and what it is in the language. Ordered by the first. */
struct translated {
  const char *english;
  const char *foreign;
};

/*
 * Makes the process speak it, by catalogues that it writes into the folder; false where the C
 * library has no locale but "C", in which nothing is translated.
 */
bool speak_foreign(const char *folder, const struct translated *texts, int count);
void speak_english(void);

#endif
