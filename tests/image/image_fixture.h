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

/* The devices of these tests, by ordinal: the value of UDM_FAKE_CUDA_DEVICES. */
#define FIXTURE_DEVICES "7.0,7.5,8.0,8.6,8.9,9.0,10.0,10.3,12.0,12.1,15.0,6.1"

struct machine {
  const char *driver_version; /* "12040"; NULL: the driver's own default */
  const char *driver_lacks;   /* functions; NULL: none */
  const char *driver_fails;   /* for UDM_FAKE_CUDA_FAIL; NULL: none */
  const char *nvrtc;          /* its version, "12.9"; NULL: no NVRTC */
  const char *nvrtc_archs;    /* NULL: those of CUDA 13.0 */
  const char *nvrtc_fails;
};

struct image_fixture {
  struct cuda_driver driver;
  udm_options options; /* with the log; the cache is empty when the test begins */
  char *folder;        /* the cache of this test */
  char log[1 << 16];   /* every line since machine_set() */
  int warnings;        /* how many of them are warnings */
  int64_t (*calls)(const char *name);
  void (*reset_calls)(void);
  int (*live_code)(void);
  int left_behind;              /* modules still loaded after the last handle was destroyed */
  char producer[UDM_PATH_SIZE]; /* of the image of the last create_once() */
  long (*nvrtc_calls)(const char *name);
  void (*reset_nvrtc_calls)(void);
};

/* cmocka setup and teardown of each test: *state is a struct image_fixture. */
int image_fixture_open(void **state);
int image_fixture_close(void **state);

/* Sets the environment to this machine; clears the log and the counts of calls. */
void machine_set(struct image_fixture *l, const struct machine *m);

/* Returns the ordinal of the device with this architecture. */
int device_of(int arch);

/* Makes a new context of the device current on this thread. */
CUcontext context_open(struct image_fixture *l, int arch);
void context_close(struct image_fixture *l, CUcontext context);

/* Runs udm_create() in a new context, describes the handle in info, and destroys both. */
udm_status create_once(struct image_fixture *l, int arch, udm_context_info *info);

#endif
