/*
 * What is expected of the image_fixture for one device on one machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_EXPECTATION_H
#define UDM_TESTS_EXPECTATION_H

#include "image_fixture.h"

/* What serves a device on a machine, and what the log and the error say of it. */
struct expectation {
  const char *title;
  int arch;
  struct machine machine;
  udm_image_source source; /* NONE: nothing, and NO_IMAGE */
  int image_arch;
  const char *told[4];
};

void expectation_check(struct image_fixture *l, const struct expectation *e);

/* What was made for the device itself is found in the cache from then on, by whatever machine. */
void expectation_check_cached(struct image_fixture *l, const struct expectation *e);

void cache_empty(struct image_fixture *l);

/* Each with an empty cache; twice, where what was made is to be found again. */
void expectation_check_all(struct image_fixture *l, const struct expectation *all, size_t count);

#define CHECK_ALL(list) expectation_check_all(*state, list, sizeof list / sizeof list[0])

#endif
