/*
 * expectation.h: which image source must serve a device on one machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_IMAGE_EXPECTATION_H
#define UDM_TESTS_IMAGE_EXPECTATION_H

#include "image_fixture.h"

/* The source that serves a device on a machine, and texts that the log or the error must have. */
struct expectation {
  const char *title;
  int arch;
  struct machine machine;
  udm_image_source source; /* UDM_IMAGE_NONE: no source, and UDM_ERROR_NO_IMAGE */
  int image_arch;
  const char *reported[4];
};

void expectation_check(struct image_fixture *l, const struct expectation *e);

/* Checks that the cache serves the device from now on, even without NVRTC. */
void expectation_check_cached(struct image_fixture *l, const struct expectation *e);

void cache_empty(struct image_fixture *l);

/* Each starts with an empty cache. If the image is cacheable, a second start must find it. */
void expectation_check_all(struct image_fixture *l, const struct expectation *all, size_t count);

#define CHECK_ALL(list) expectation_check_all(*state, list, sizeof list / sizeof list[0])

#endif
