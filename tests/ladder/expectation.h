/*
 * What is expected of the ladder for one device on one machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_EXPECTATION_H
#define UDM_TESTS_EXPECTATION_H

#include "ladder_fixture.h"

/* What serves a device on a machine, and what the log and the error say of it. */
typedef struct expectation {
  const char *title;
  int arch;
  machine machine;
  udm_image_source source; /* NONE: nothing, and NO_IMAGE */
  int image_arch;
  const char *told[4];
} expectation;

void expectation_check(ladder *l, const expectation *e);

/* What was made for the device itself is found in the cache from then on, by whatever machine. */
void expectation_check_cached(ladder *l, const expectation *e);

void cache_empty(ladder *l);

/* Each with an empty cache; twice, where what was made is to be found again. */
void expectation_check_all(ladder *l, const expectation *all, size_t count);

#define CHECK_ALL(list) expectation_check_all(*state, list, sizeof list / sizeof list[0])

#endif /* UDM_TESTS_EXPECTATION_H */
