/*
 * image_fixture.h: what the tests of udm_create() share: a machine made of the fake
 * driver and the fake NVRTC, an empty cache per test, and the library's log. It
 * includes cmocka's headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_IMAGE_FIXTURE_H
#define UDM_TESTS_IMAGE_FIXTURE_H

#include <stdbool.h>

#include "cmocka_headers.h"
#include "cuda_driver.h"
#include "udm.h"

/* UDM_FAKE_CUDA_DEVICES of these tests, in the order of their ordinals. */
#define FIXTURE_DEVICES "7.0,7.5,8.0,8.6,8.9,9.0,10.0,10.3,12.0,12.1,15.0,6.1"

struct machine {
  const char *driver_version; /* "12040"; NULL: the driver's own default */
  const char *driver_lacks;   /* functions; NULL: none */
  const char *driver_fails;   /* a plan of failures; NULL: none */
  const char *nvrtc;          /* its version, "12.9"; NULL: there is none */
  const char *nvrtc_archs;    /* NULL: those of CUDA 13.0 */
  const char *nvrtc_fails;
};

struct image_fixture {
  struct cuda_driver driver;
  udm_options options; /* with the log; the cache is empty when the test begins */
  char *folder;        /* of the test's own */
  char log[1 << 16];   /* every line since machine_set() */
  int64_t (*calls)(const char *name);
  void (*reset_calls)(void);
  int (*live_code)(void);
  int left_behind; /* live code after the last handle was destroyed, its context still there */
  long (*nvrtc_calls)(const char *name);
  void (*reset_nvrtc_calls)(void);
};

/* cmocka setup and teardown of each test: *state is a struct image_fixture. */
int image_fixture_open(void **state);
int image_fixture_close(void **state);

/* Makes the environment that of the machine; empties the log and the counts of calls. */
void machine_set(struct image_fixture *l, const struct machine *m);

/* The device's ordinal. */
int device_of(int arch);

/* A new context of the device, current on this thread. */
CUcontext context_open(struct image_fixture *l, int arch);
void context_close(struct image_fixture *l, CUcontext context);

/* udm_create in a new context of the device, described and destroyed again. */
udm_status create_once(struct image_fixture *l, int arch, udm_context_info *info);

#endif
