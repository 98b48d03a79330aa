/*
 * cache_fixture.h: a cache folder per test, a context of the fake driver, and
 * udm_create() with what it counted and logged. Includes cmocka's headers.
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
 * cmocka setup and teardown: *state is a new folder, and UDM_CACHE_DIR names the
 * folder "cache" in it, which does not exist yet. Teardown restores the environment.
 */
int cache_fixture_open(void **state);
int cache_fixture_close(void **state);

#define CACHE_TEST(test) \
  cmocka_unit_test_setup_teardown(test, cache_fixture_open, cache_fixture_close)

/* The value of a variable that CTest or the fixture has set. */
const char *set_variable(const char *name);
const char *cache_folder(void); /* UDM_CACHE_DIR */

/* Makes a context of the fake driver current on this thread, until the thread ends. */
void use_fake_device(void);

/* One udm_create(), and udm_destroy() if it succeeded. */
struct create_result {
  udm_status status;
  udm_context_info info;      /* if it succeeded */
  udm_cache_counters counted; /* by this call, if no other one runs at the same time */
  char log[1 << 15];
};
void create_once(struct create_result *result);

/* Fails the test, and prints the log, unless the image came from this source. */
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

/* For the rest of the test, the driver assembles no PTX: only NVRTC can make an image. */
void forbid_ptx(void);

/* Stores the entry of FIXTURE_ARCH. path, unless NULL, receives its path. */
void prewarm(char path[UDM_PATH_SIZE]);

/* Replaces the image of an entry by one that the driver rejects, under a good checksum. */
void spoil_image(const char *path);

/* Counts the files of the cache folder whose names have this ending. */
int count_files(const char *ending);

/* Sets the dates of these files back by so many seconds. */
void age_files(const char *ending, long seconds);

/* Removes the cache folder and everything in it. */
void clear_cache(void);

/* Counts the lines of the fake NVRTC's log: one per compile, of any process. */
int count_compiles(const char *folder);

int count_open_files(void);

/* fork(). The child ends with this process, even if it is stopped. */
pid_t fork_child(void);

/*
 * Runs `work` in a child process. Fails the test unless the child exits with 0;
 * skips it if the child exits with CHILD_CANNOT. A child uses CHILD_CHECK in place
 * of cmocka's assertions.
 */
enum { CHILD_CANNOT = 77 };
void run_in_child(void (*work)(const char *folder), const char *folder);
#define CHILD_CHECK(condition) child_check((condition), #condition, __FILE__, __LINE__)
void child_check(bool condition, const char *text, const char *file, int line);
_Noreturn void child_cannot(const char *reason);

#endif
