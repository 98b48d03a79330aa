/*
 * test_context_reload.c: the shared library is opened, used and closed a hundred times. Each time
 * it is unloaded, and no memory, mapping or file remains; a later fork finds no handler of it.
 * test_context_reload LIBRARY
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_fixture.h"

static const char *library_path;

/* The opened library's functions; this program's own copy only opens the session. */
struct functions {
  udm_status (*create)(const udm_options *options, udm_context **out);
  void (*destroy)(udm_context *ctx);
  udm_status (*direct)(udm_context *ctx, const udm_decode_args *args, CUstream stream);
  const char *(*last_error)(void);
};

static void find(void *library, const char *name, void *function) {
  void *address = dlsym(library, name);
  if (!address) fail_msg("%s", dlerror());
  memcpy(function, &address, sizeof address);
}

static void use(void *library) {
  struct functions udm;
  udm_context *ctx = NULL;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  find(library, "udm_create", &udm.create);
  find(library, "udm_destroy", &udm.destroy);
  find(library, "udm_decode_metadata_direct", &udm.direct);
  find(library, "udm_last_error", &udm.last_error);
  if (udm.create(NULL, &ctx) != UDM_OK) fail_msg("%s", udm.last_error());
  assert_int_equal(udm.direct(ctx, &args, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm.last_error(), "num_backends"));
  udm.destroy(ctx);
}

static void open_use_close(void) {
  void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fail_msg("%s", dlerror());
    return;
  }
  use(library);
  assert_int_equal(dlclose(library), 0);
  assert_null(dlopen(library_path, RTLD_NOW | RTLD_NOLOAD)); /* unloaded */
}

/* Only mappings of files: the C library may split and join heaps. */
static int count_mappings(void) {
  int count = 0;
  char line[8192];
  FILE *maps = fopen("/proc/self/maps", "re");
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps)) count += strstr(line, " /") != NULL;
  fclose(maps);
  return count;
}

static int count_files(void) {
  int count = 0;
  for (int file = 0; file < 1024; ++file) count += dup2(file, file) == file;
  return count;
}

static void test_a_hundred_reloads_leave_nothing_behind(void **state) {
  (void)state;
  enum { WARM_UP = 10, ROUNDS = 100, SMALLEST_BLOCK = 24 };
  for (int i = 0; i < WARM_UP; ++i) open_use_close();
  const int mappings = count_mappings();
  const int files = count_files();
  const size_t memory = mallinfo2().uordblks;
  for (int i = 0; i < ROUNDS; ++i) open_use_close();
  assert_int_equal(count_mappings(), mappings);
  assert_int_equal(count_files(), files);
  const size_t now = mallinfo2().uordblks;
  /* less than one block per round; the loader itself may keep a few bytes, such as paths */
  if (now >= memory + (size_t)SMALLEST_BLOCK * ROUNDS)
    fail_msg("%zu bytes more than before", now - memory);
}

static void test_a_later_fork_finds_no_handler_of_the_library(void **state) {
  (void)state;
  int status = 0;
  open_use_close();
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_hundred_reloads_leave_nothing_behind),
      cmocka_unit_test(test_a_later_fork_finds_no_handler_of_the_library),
  };
  if (argc != 2) return 2;
  library_path = argv[1];
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("reload", tests, gpu_fixture_open, gpu_fixture_close);
}
