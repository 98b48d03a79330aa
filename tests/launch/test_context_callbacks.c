/*
 * test_context_callbacks.c: the callbacks of an embedder. Its allocator provides every block and
 * gets each back, even if it runs out; its symbols replace those of any library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <pthread.h>

#include "gpu_fixture.h"
#include "temporary_folder.h"

/* An allocator that counts, and is out of memory from the failing-th block on. */
struct arena {
  long blocks;        /* alive */
  long calls;         /* of allocate */
  long calls_outside; /* calls outside a callback of the test */
  long failing;       /* 0: never */
  long foreign;       /* freed blocks that it did not allocate */
  size_t largest;
};

enum { MARK = 0x0a110c };

static bool inside_callback;

struct block {
  long mark;
  struct arena *owner;
};

static void *arena_allocate(void *user_data, size_t bytes) {
  struct arena *arena = user_data;
  ++arena->calls;
  arena->calls_outside += !inside_callback;
  if (arena->failing && arena->calls >= arena->failing) return NULL;
  struct block *block = malloc(sizeof *block + bytes);
  if (!block) return NULL;
  block->mark = MARK;
  block->owner = arena;
  ++arena->blocks;
  if (bytes > arena->largest) arena->largest = bytes;
  memset(block + 1, 0xa5, bytes);
  return block + 1;
}

static void arena_deallocate(void *user_data, void *memory) {
  struct arena *arena = user_data;
  struct block *block = (struct block *)memory - 1;
  if (block->mark != MARK || block->owner != arena) {
    ++arena->foreign;
    return;
  }
  block->mark = 0;
  --arena->blocks;
  free(block);
}

static udm_options options_of(struct arena *arena) {
  udm_options options = UDM_OPTIONS_INIT;
  options.allocate = arena_allocate;
  options.deallocate = arena_deallocate;
  options.allocator_user_data = arena;
  return options;
}

static void test_every_block_of_a_context_is_the_allocators(void **state) {
  (void)state;
  struct arena arena = {0};
  udm_options options = options_of(&arena);
  udm_context *ctx = NULL;
  assert_int_equal(udm_create(&options, &ctx), UDM_OK);
  assert_true(arena.calls > 1); /* the handle, and the image while it was loaded */
  assert_int_equal(arena.blocks, 1);
  udm_query_driver(NULL, &(udm_driver_info){.struct_size = sizeof(udm_driver_info)});
  udm_destroy(ctx); /* frees with its own allocator, whatever was called since */
  assert_int_equal(arena.blocks, 0);
  assert_int_equal(arena.foreign, 0);
}

static int call_udm_again(void *user_data, const udm_cache_entry_info *entry) {
  udm_options *other = user_data;
  udm_cache_import_result result = {.struct_size = sizeof result};
  inside_callback = true;
  if (udm_cache_import(other, entry->contents, entry->bytes, &result) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  inside_callback = false;
  return 0;
}

static void test_calls_within_callbacks_keep_the_allocators_apart(void **state) {
  (void)state;
  struct arena outer = {0};
  struct arena inner = {0};
  udm_options options = options_of(&outer);
  udm_options other = options_of(&inner);
  /* two entries at least: what is allocated for the second comes after a callback */
  if (udm_prewarm(NULL, 90, 0, NULL) != UDM_OK || udm_prewarm(NULL, 80, 0, NULL) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  assert_int_equal(udm_cache_enumerate(&options, call_udm_again, &other), UDM_OK);
  assert_true(outer.calls > 0);
  assert_true(inner.calls > 0);
  assert_int_equal(inner.calls_outside, 0);
  assert_int_equal(outer.blocks + inner.blocks, 0);
  assert_int_equal(outer.foreign + inner.foreign, 0);
}

/* With a cold cache, so that compiling and publishing allocate, too. */
static void test_any_allocation_may_fail(void **state) {
  (void)state;
  long failures = 0;
  for (long failing = 1; failing < 1000; ++failing) {
    struct arena arena = {.failing = failing};
    udm_options options = options_of(&arena);
    udm_context *ctx = NULL;
    const udm_status status = udm_create(&options, &ctx);
    if (status == UDM_OK) {
      assert_non_null(ctx);
      udm_destroy(ctx);
    } else {
      ++failures;
      assert_null(ctx);
      assert_true(status == UDM_ERROR_OUT_OF_MEMORY || status == UDM_ERROR_NO_IMAGE);
      assert_non_null(strstr(udm_last_error(), "memory"));
    }
    assert_int_equal(arena.blocks, 0);
    assert_int_equal(arena.foreign, 0);
    if (arena.calls < failing) break; /* it needed fewer blocks */
  }
  assert_true(failures > 0);
}

static void test_half_an_allocator_is_rejected(void **state) {
  (void)state;
  udm_options options = UDM_OPTIONS_INIT;
  udm_context *ctx = NULL;
  options.allocate = arena_allocate;
  assert_int_equal(udm_create(&options, &ctx), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "deallocate"));
}

/* An embedder that holds the libraries: the symbols that udm requested, per library. */
struct symbols {
  void *libraries[2];
  long asked[2];
};

static void *find_symbol(void *user_data, udm_library library, const char *name) {
  struct symbols *symbols = user_data;
  ++symbols->asked[library];
  return symbols->libraries[library] ? dlsym(symbols->libraries[library], name) : NULL;
}

static void *open_again(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) fail_msg("%s", dlerror());
  return library;
}

/* Options with which udm cannot open any library itself. */
static udm_options options_with(struct symbols *symbols) {
  udm_options options = UDM_OPTIONS_INIT;
  options.driver_library = "/nonexistent/libcuda.so.1";
  options.nvrtc_library = "/nonexistent/libnvrtc.so";
  options.find_symbol = find_symbol;
  options.find_symbol_user_data = symbols;
  return options;
}

static void test_no_other_driver_than_the_embedders_is_used(void **state) {
  (void)state;
  struct symbols symbols = {{open_again(getenv("UDM_DRIVER_LIBRARY")), NULL}, {0, 0}};
  udm_options options = options_with(&symbols);
  udm_driver_info driver = {.struct_size = sizeof driver};
  udm_context *ctx = NULL;
  void *address = NULL;
  assert_int_equal(udm_query_driver(&options, &driver), UDM_OK);
  assert_int_equal(driver.device_count, 2);
  assert_non_null(strstr(driver.path, "fake_cuda"));
  assert_int_equal(udm_driver_symbol(&options, "cuMemAlloc_v2", &address), UDM_OK);
  assert_ptr_equal(address, dlsym(symbols.libraries[0], "cuMemAlloc_v2"));
  assert_int_equal(udm_driver_symbol(&options, "cuNoSuchThing", &address), UDM_ERROR_NOT_FOUND);
  if (udm_create(&options, &ctx) != UDM_OK) fail_msg("%s", udm_last_error()); /* from the cache */
  udm_destroy(ctx);
  assert_true(symbols.asked[UDM_LIBRARY_DRIVER] > 10);
  dlclose(symbols.libraries[0]);
}

static void test_no_other_nvrtc_than_the_embedders_is_used(void **state) {
  (void)state;
  udm_nvrtc_info known = {.struct_size = sizeof known};
  udm_nvrtc_info info = {.struct_size = sizeof info};
  udm_prewarm_result result = {.struct_size = sizeof result};
  assert_int_equal(udm_query_nvrtc(NULL, &known), UDM_OK);
  struct symbols symbols = {{NULL, open_again(known.path)}, {0, 0}};
  udm_options options = options_with(&symbols);
  if (udm_query_nvrtc(&options, &info) != UDM_OK) fail_msg("%s", udm_last_error());
  assert_string_equal(info.path, known.path);
  assert_int_equal(info.arch_count, known.arch_count);
  assert_true(symbols.asked[UDM_LIBRARY_NVRTC] > 5);
  /* the same build: each finds what the other compiled */
  if (udm_prewarm(&options, 90, 0, &result) != UDM_OK) fail_msg("%s", udm_last_error());
  assert_int_equal(result.compiled, 0);
  if (udm_prewarm(&options, 90, UDM_PREWARM_FORCE, &result) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  assert_int_equal(result.compiled, 1);
  /* the embedder has no driver: the usual search finds one */
  assert_int_equal(
      udm_query_driver(&options, &(udm_driver_info){.struct_size = sizeof(udm_driver_info)}),
      UDM_ERROR_NO_DRIVER);
  dlclose(symbols.libraries[1]);
}

static void *find_too_little(void *user_data, udm_library library, const char *name) {
  (void)library;
  return strcmp(name, "cuInit") == 0 || strcmp(name, "nvrtcVersion") == 0 ? user_data : NULL;
}

static void test_a_missing_symbol_is_named(void **state) {
  (void)state;
  int nothing = 0;
  udm_options options = UDM_OPTIONS_INIT;
  udm_context *ctx = NULL;
  udm_nvrtc_info nvrtc = {.struct_size = sizeof nvrtc};
  options.find_symbol = find_too_little;
  options.find_symbol_user_data = &nothing;
  assert_int_equal(udm_create(&options, &ctx), UDM_ERROR_NO_DRIVER);
  assert_non_null(strstr(udm_last_error(), "has no cu"));
  assert_int_equal(udm_query_nvrtc(&options, &nvrtc), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(udm_last_error(), "has no nvrtc"));
}

/* What a log sink received. */
struct sink {
  pthread_t thread;
  long lines[3]; /* by level */
  long wrong;    /* another thread, another level, a newline, nothing */
};

static void receive(void *user_data, udm_log_level level, const char *message) {
  struct sink *sink = user_data;
  const bool good = pthread_equal(sink->thread, pthread_self()) && level <= UDM_LOG_DEBUG &&
                    *message && !strchr(message, '\n');
  if (good) {
    ++sink->lines[level];
  } else {
    ++sink->wrong;
  }
}

/* Two instances, each with its own cache and sink: neither sees what the other does.
 */
static void test_each_instance_has_its_cache_and_its_log(void **state) {
  const struct gpu_session *session = *state;
  enum { INSTANCES = 2 };
  void *folders[INSTANCES] = {NULL, NULL};
  struct sink sinks[INSTANCES];
  udm_context *contexts[INSTANCES] = {NULL, NULL};
  memset(sinks, 0, sizeof sinks);
  for (int i = 0; i < INSTANCES; ++i) {
    udm_options options = UDM_OPTIONS_INIT;
    udm_context_info info = UDM_CONTEXT_INFO_INIT;
    assert_int_equal(make_temporary_folder(&folders[i]), 0);
    sinks[i].thread = pthread_self();
    options.cache_dir = folders[i];
    options.log = receive;
    options.log_user_data = &sinks[i];
    if (udm_create(&options, &contexts[i]) != UDM_OK) fail_msg("%s", udm_last_error());
    assert_int_equal(udm_get_context_info(contexts[i], &info), UDM_OK);
    assert_int_equal(info.image_source, UDM_IMAGE_NVRTC); /* not from the other instance's cache */
    assert_true(sinks[i].lines[UDM_LOG_INFO] > 0);
    assert_true(sinks[i].lines[UDM_LOG_DEBUG] > 0);
  }
  const struct sink before[INSTANCES] = {sinks[0], sinks[1]};
  udm_decode_args args = UDM_DECODE_ARGS_INIT; /* names no output: rejected by status */
  for (int i = 0; i < INSTANCES; ++i) {
    assert_int_equal(udm_decode_metadata_direct(contexts[i], &args, session->stream),
                     UDM_ERROR_INVALID_ARGUMENT);
    udm_destroy(contexts[i]);
    assert_memory_equal(&sinks[i], &before[i], sizeof sinks[i]); /* a launch logs nothing */
    assert_int_equal(sinks[i].wrong, 0);
    udm_options options = UDM_OPTIONS_INIT;
    udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
    udm_cache_prune_result result = {.struct_size = sizeof result};
    options.cache_dir = folders[i];
    rules.flags = UDM_CACHE_PRUNE_ALL;
    assert_int_equal(udm_cache_prune(&options, &rules, NULL, NULL, &result), UDM_OK);
    assert_int_equal(result.removed, 1);
    assert_int_equal(remove_temporary_folder(&folders[i]), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_block_of_a_context_is_the_allocators),
      cmocka_unit_test(test_calls_within_callbacks_keep_the_allocators_apart),
      cmocka_unit_test(test_any_allocation_may_fail),
      cmocka_unit_test(test_half_an_allocator_is_rejected),
      cmocka_unit_test(test_no_other_driver_than_the_embedders_is_used),
      cmocka_unit_test(test_no_other_nvrtc_than_the_embedders_is_used),
      cmocka_unit_test(test_a_missing_symbol_is_named),
      cmocka_unit_test(test_each_instance_has_its_cache_and_its_log),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("host callbacks", tests, gpu_fixture_open, gpu_fixture_close);
}
