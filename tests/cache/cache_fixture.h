/*
 * cache_fixture.h: what the tests of the cache share: a cache folder of the
 * test's own, a context of the fake driver, and udm_create() with what it
 * counted and logged. cmocka's headers come with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CACHE_FIXTURE_H
#define UDM_TESTS_CACHE_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "cmocka_headers.h"
#include "udm.h"

/* The architecture of the fake driver's device, unless a test says otherwise. */
#define FIXTURE_ARCH 90

/*
 * cmocka setup and teardown: *state is a new folder; the environment is the test
 * program's own with UDM_CACHE_DIR set to the folder "cache" in it, which does
 * not exist yet.
 */
int cache_fixture_open(void **state);
int cache_fixture_close(void **state);

#define CACHE_TEST(test) \
  cmocka_unit_test_setup_teardown(test, cache_fixture_open, cache_fixture_close)

/* The environment's value, which CTest or the fixture has set. */
const char *set_variable(const char *name);
const char *cache_folder(void); /* UDM_CACHE_DIR */

/* Makes a context of the fake driver current on this thread; it stays. */
void use_stand_in_device(void);

/* One udm_create(), and udm_destroy() when it was done. */
struct create_result {
  udm_status status;
  udm_context_info info;      /* when it was done */
  udm_cache_counters counted; /* by this call alone, as long as no other runs */
  char log[1 << 15];
};
void create_once(struct create_result *result);

/* Fails the test, with the log, unless the image came from there. */
void assert_created(const struct create_result *result, udm_image_source source);

void take_counters(udm_cache_counters *counters);
void subtract_counters(udm_cache_counters *counters, const udm_cache_counters *before);

/* What udm_cache_enumerate() finds in the writable layer. */
struct cache_contents {
  int ok;
  int stale;
  int bad;
  char path[UDM_PATH_SIZE]; /* of the last entry */
  char reason[512];         /* of the last bad one */
};
void look_at_cache(struct cache_contents *contents);

/* For the rest of the test the driver assembles no PTX: what NVRTC cannot make, nobody makes. */
void forbid_ptx(void);

/* Fills the cache with the entry of FIXTURE_ARCH; path (or NULL) receives where it is. */
void prewarm(char path[UDM_PATH_SIZE]);

/* Makes the image of an entry one that the driver refuses, under a good checksum. */
void spoil_image(const char *path);

/* The files of the cache folder whose names end so. */
int count_files(const char *ending);

/* Sets the dates of all files of the cache folder with that ending back by so many seconds. */
void age_files(const char *ending, long seconds);

/* Removes the cache folder with all that is in it. */
void clear_cache(void);

/* Lines of the fake NVRTC's log: one a compile, of whatever process. */
int count_compiles(const char *folder);

int count_open_files(void);

/* fork() of a child that ends with this process, even one that is stopped. */
pid_t fork_child(void);

/*
 * Runs work in a child process and fails the test unless the child exits with 0;
 * with CHILD_CANNOT the test is skipped. In a child CHILD_CHECK takes the place
 * of cmocka's assertions.
 */
enum { CHILD_CANNOT = 77 };
void run_in_child(void (*work)(const char *folder), const char *folder);
#define CHILD_CHECK(condition) child_check((condition), #condition, __FILE__, __LINE__)
void child_check(bool condition, const char *text, const char *file, int line);
_Noreturn void child_cannot(const char *reason);

#endif
