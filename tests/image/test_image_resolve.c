/*
 * test_image_resolve.c: the walk over the image sources with cached images, a
 * loader of the test and no NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/image_resolve.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cmocka_headers.h"
#include "smallest_cubin.h"
#include "temporary_folder.h"

/* Answers each image with a given status, and records the architectures. */
struct loader {
  udm_status answers[4];
  int tried;
  int32_t archs[4];
};

static udm_status load(struct loader *loader, const struct image *image, struct error *error) {
  assert_true(loader->tried < 4);
  assert_non_null(image->bytes);
  loader->archs[loader->tried] = image->arch;
  const udm_status status = loader->answers[loader->tried++];
  return status == UDM_OK ? UDM_OK : udm_fail(error, status, "the loader's reason");
}

static CUresult driver_version(int *version) {
  *version = 13000;
  return CUDA_SUCCESS;
}

/* The loop of udm_create(), with the loader in place of the driver's. */
static udm_status resolve(const struct settings *settings, int32_t arch, struct loader *loader,
                          struct image *taken) {
  struct error *error = udm_thread_error();
  struct image_search *search = NULL;
  struct driver driver;
  memset(&driver, 0, sizeof driver);
  memset(taken, 0, sizeof *taken);
  driver.cuDriverGetVersion = driver_version;
  udm_status status =
      udm_image_search_begin(settings, arch, loader ? &driver : NULL, &search, error);
  if (status != UDM_OK) return status;
  while ((status = udm_image_search_next(search, error)) == UDM_OK) {
    status = loader ? load(loader, &search->image, &search->reason) : UDM_OK;
    if (status == UDM_OK) {
      udm_image_search_accept(search);
      *taken = search->image;
      break;
    }
    if (status != UDM_ERROR_NO_IMAGE) {
      udm_fail(error, status, "%s", search->reason_text);
      break;
    }
    udm_image_search_reject(search);
  }
  udm_image_search_end(search);
  return status;
}

static struct settings settings_for(const char *folder) {
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.cache_dir = folder;
  settings.nvrtc_library = "/nonexistent/libnvrtc.so";
  settings.no_compile = true;
  settings.cached_only = true;
  snprintf(settings.no_compile_reason, sizeof settings.no_compile_reason, "%s",
           "UDM_NO_COMPILE=strict");
  return settings;
}

static void test_the_exact_one_is_taken(void **state) {
  char path[UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_OK}, 0, {0}};
  const struct settings settings = settings_for(*state);
  store_cubin(&settings, 86, 86, "a test\n", path);
  store_cubin(&settings, 80, 80, "a test\n", path);
  assert_int_equal(resolve(&settings, 86, &loader, &taken), UDM_OK);
  assert_int_equal(loader.tried, 1);
  assert_int_equal(taken.arch, 86);
  assert_int_equal(taken.source, UDM_IMAGE_CACHE);
}

static void test_a_rejected_image_stays_and_the_next_is_tried(void **state) {
  char exact[UDM_PATH_SIZE];
  char lower[UDM_PATH_SIZE];
  char lowest[UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_ERROR_NO_IMAGE, UDM_ERROR_NO_IMAGE, UDM_OK}, 0, {0}};
  const struct settings settings = settings_for(*state);
  store_cubin(&settings, 89, 89, "a test\n", exact);
  store_cubin(&settings, 86, 86, "a test\n", lower);
  store_cubin(&settings, 80, 80, "a test\n", lowest);
  assert_int_equal(resolve(&settings, 89, &loader, &taken), UDM_OK);
  assert_int_equal(loader.tried, 3);
  assert_int_equal(loader.archs[0], 89);
  assert_int_equal(loader.archs[1], 86);
  assert_int_equal(loader.archs[2], 80);
  assert_int_equal(taken.arch, 80);
  assert_int_equal(access(exact, F_OK), 0);
  assert_int_equal(access(lower, F_OK), 0);
  assert_int_equal(access(lowest, F_OK), 0);
}

static void test_an_error_that_is_not_the_images_ends_the_search(void **state) {
  char exact[UDM_PATH_SIZE];
  char lower[UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_ERROR_DRIVER}, 0, {0}};
  const struct settings settings = settings_for(*state);
  store_cubin(&settings, 89, 89, "a test\n", exact);
  store_cubin(&settings, 80, 80, "a test\n", lower);
  assert_int_equal(resolve(&settings, 89, &loader, &taken), UDM_ERROR_DRIVER);
  assert_string_equal(udm_last_error(), "the loader's reason");
  assert_int_equal(loader.tried, 1);
  assert_int_equal(access(exact, F_OK), 0); /* a good entry stays */
}

static void test_layers_are_tried_one_after_the_other(void **state) {
  char first[UDM_PATH_SIZE];
  char path[UDM_PATH_SIZE];
  char layers[2 * UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_ERROR_NO_IMAGE, UDM_OK}, 0, {0}};
  struct settings settings = settings_for(path_in(*state, "one"));
  store_cubin(&settings, 90, 90, "a test\n", first);
  settings.cache_dir = path_in(*state, "two");
  store_cubin(&settings, 90, 90, "a test\n", path);
  snprintf(layers, sizeof layers, "%s/one:%s/two", (const char *)*state, (const char *)*state);
  settings.cache_dir = path_in(*state, "empty");
  settings.cache_path = layers;
  assert_int_equal(resolve(&settings, 90, &loader, &taken), UDM_OK);
  assert_int_equal(loader.tried, 2);
  assert_int_equal(taken.source, UDM_IMAGE_READ_ONLY_LAYER);
  assert_string_equal(taken.origin, path);
  assert_int_equal(access(first, F_OK), 0); /* nothing is removed from a read-only layer */
}

static void test_a_wrong_architecture_is_never_loaded(void **state) {
  char path[UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_OK}, 0, {0}};
  const struct settings settings = settings_for(*state);
  store_cubin(&settings, 90, 80, "a test\n", path);
  assert_int_equal(resolve(&settings, 90, &loader, &taken), UDM_ERROR_NO_IMAGE);
  assert_int_equal(loader.tried, 0);
  assert_non_null(strstr(udm_last_error(), "sm_80, not sm_90"));
}

static void test_the_error_has_the_reason_of_every_source(void **state) {
  struct image taken;
  struct loader loader = {{UDM_ERROR_NO_IMAGE}, 0, {0}};
  struct settings settings = settings_for(*state);
  settings.no_compile = false;
  settings.cached_only = false;
  assert_int_equal(resolve(&settings, 90, &loader, &taken), UDM_ERROR_NO_IMAGE);
  assert_int_equal(loader.tried, 1); /* the shipped PTX, for a driver that does not link */
  assert_int_equal(loader.archs[0], 90);
  assert_non_null(strstr(udm_last_error(), *state));
  assert_non_null(strstr(udm_last_error(), "\n- NVRTC: "));
  assert_non_null(strstr(udm_last_error(), "/nonexistent/libnvrtc.so"));
  assert_non_null(strstr(udm_last_error(), "\n- cache, same major: "));
  assert_non_null(strstr(udm_last_error(), "\n- PTX of NVRTC: "));
  assert_non_null(strstr(udm_last_error(), "\n- shipped PTX: the loader's reason"));
}

/* A cached image for a lower architecture makes the walk ask NVRTC early. */
static void test_an_early_failure_of_nvrtc_is_kept(void **state) {
  char path[UDM_PATH_SIZE];
  struct image taken;
  struct loader loader = {{UDM_ERROR_NO_IMAGE, UDM_ERROR_NO_IMAGE}, 0, {0}};
  struct settings settings = settings_for(*state);
  settings.no_compile = false;
  settings.cached_only = false;
  store_cubin(&settings, 80, 80, "a test\n", path);
  assert_int_equal(resolve(&settings, 86, &loader, &taken), UDM_ERROR_NO_IMAGE);
  assert_int_equal(loader.tried, 2); /* the cached one and the shipped PTX */
  const char *reason = strstr(udm_last_error(), "\n- NVRTC: ");
  assert_non_null(reason);
  assert_non_null(strstr(reason, "/nonexistent/libnvrtc.so"));
}

static void test_forbidden_sources_say_so(void **state) {
  struct image taken;
  struct loader loader = {{UDM_OK}, 0, {0}};
  struct settings settings = settings_for(*state);
  assert_int_equal(resolve(&settings, 90, &loader, &taken), UDM_ERROR_NO_IMAGE);
  assert_int_equal(loader.tried, 0);
  assert_non_null(strstr(udm_last_error(), "- NVRTC: compiling is forbidden"));
  assert_non_null(strstr(udm_last_error(), "UDM_NO_COMPILE=strict"));
  assert_non_null(
      strstr(udm_last_error(), "To do: fill the cache with 'udm prewarm --arch sm_90 "));
  assert_null(strstr(udm_last_error(), "/nonexistent/libnvrtc.so"));
  settings.cached_only = false;
  assert_int_equal(resolve(&settings, 90, &loader, &taken), UDM_OK);
  assert_int_equal(taken.source, UDM_IMAGE_SHIPPED_PTX);
}

static void test_too_old_a_device(void **state) {
  struct image taken;
  struct loader loader = {{UDM_OK}, 0, {0}};
  const struct settings settings = settings_for(*state);
  assert_int_equal(resolve(&settings, 62, &loader, &taken), UDM_ERROR_NO_IMAGE);
  assert_int_equal(loader.tried, 0);
  assert_non_null(strstr(udm_last_error(), "6.2"));
  assert_non_null(strstr(udm_last_error(), "7.0"));
}

static void test_a_plan_loads_nothing(void **state) {
  char path[UDM_PATH_SIZE];
  struct image taken;
  const struct settings settings = settings_for(*state);
  store_cubin(&settings, 80, 80, "a test\n", path);
  assert_int_equal(resolve(&settings, 86, NULL, &taken), UDM_OK);
  assert_int_equal(taken.arch, 80);
  assert_string_equal(taken.origin, path);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_the_exact_one_is_taken),
      IN_FOLDER(test_a_rejected_image_stays_and_the_next_is_tried),
      IN_FOLDER(test_an_error_that_is_not_the_images_ends_the_search),
      IN_FOLDER(test_layers_are_tried_one_after_the_other),
      IN_FOLDER(test_a_wrong_architecture_is_never_loaded),
      IN_FOLDER(test_the_error_has_the_reason_of_every_source),
      IN_FOLDER(test_an_early_failure_of_nvrtc_is_kept),
      IN_FOLDER(test_forbidden_sources_say_so),
      IN_FOLDER(test_too_old_a_device),
      IN_FOLDER(test_a_plan_loads_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
