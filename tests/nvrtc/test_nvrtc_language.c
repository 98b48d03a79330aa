/*
 * test_nvrtc_language.c: in any language of the process, a missing library is
 * distinguished from one that cannot be used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_headers.h"
#include "nvrtc/nvrtc.h"
#include "temporary_folder.h"
#include "translation.h"

static udm_status open_candidate(const char *library) {
  static struct nvrtc nvrtc;
  return udm_nvrtc_open_candidate(library, false, &nvrtc, udm_thread_error());
}

static void check_each(const char *folder) {
  const char *text = path_in(folder, "text.so");
  write_file(text, "no ELF", 6);
  assert_int_equal(open_candidate("libnot_there.so.42"), UDM_ERROR_NOT_FOUND);
  assert_int_equal(open_candidate("/nonexistent/libnvrtc.so"), UDM_ERROR_NOT_FOUND);
  assert_int_equal(open_candidate(text), UDM_ERROR_NO_NVRTC);
  assert_int_equal(open_candidate(LACKS_ANOTHER), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(udm_last_error(), "test_needed"));
}

static void test_in_english(void **state) { check_each(*state); }

static void test_in_another_language(void **state) {
  static const struct translated texts[] = {
      {"No such file or directory", "nicht da"},
      {"cannot open shared object file", "geht nicht auf"},
  };
  if (!speak_foreign(*state, texts, 2)) {
    printf("skipped: the C library has no locale C.UTF-8\n");
    skip();
  }
  assert_null(dlopen("libnot_there.so.42", RTLD_NOW));
  const char *said = dlerror();
  assert_string_equal(said, "libnot_there.so.42: geht nicht auf: nicht da"); /* it is spoken */
  check_each(*state);
  speak_english();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_in_english, make_temporary_folder,
                                      remove_temporary_folder),
      cmocka_unit_test_setup_teardown(test_in_another_language, make_temporary_folder,
                                      remove_temporary_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
