/*
 * test_counters.c: the counters and images of a process as text for a scraper.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"
#include "core/counters.h"

static char text[1 << 16];

static const char *metrics(void) {
  size_t length = 0;
  assert_int_equal(udm_get_metrics(text, sizeof text, &length), UDM_OK);
  assert_int_equal(length, strlen(text));
  return text;
}

/* The grammar of the format: a comment of HELP or TYPE, or NAME{LABELS} VALUE. */
static void check_line(const char *line, size_t length) {
  const char *end = line + length;
  if (strncmp(line, "# HELP udm_", 11) == 0 || strncmp(line, "# TYPE udm_", 11) == 0) return;
  const char *c = line;
  assert_int_equal(strncmp(line, "udm_", 4), 0);
  while (islower((unsigned char)*c) || *c == '_') ++c;
  if (*c == '{') {
    bool quoted = false;
    for (++c; c < end && (quoted || *c != '}'); ++c) {
      if (quoted && *c == '\\') {
        ++c;
      } else if (*c == '"') {
        quoted = !quoted;
      }
    }
    assert_int_equal(*c++, '}');
  }
  assert_int_equal(*c++, ' ');
  assert_true(c < end);
  while (c < end && isdigit((unsigned char)*c)) ++c;
  assert_ptr_equal(c, end);
}

static void check_grammar(const char *rest) {
  while (*rest) {
    const char *next = strchr(rest, '\n');
    assert_non_null(next); /* the last line ends, too */
    check_line(rest, (size_t)(next - rest));
    rest = next + 1;
  }
}

static void test_every_counter_has_its_lines(void **state) {
  (void)state;
  udm_count(compiles);
  udm_count(compiles);
  check_grammar(metrics());
#define CHECK_COUNTER(name, meaning)                                              \
  assert_non_null(strstr(text, "\n# HELP udm_cache_" #name "_total " meaning "\n" \
                               "# TYPE udm_cache_" #name "_total counter\n"       \
                               "udm_cache_" #name "_total "));
  UDM_CACHE_COUNTER_TABLE(CHECK_COUNTER)
#undef CHECK_COUNTER
  assert_non_null(strstr(text, "\nudm_cache_compiles_total 2\n"));
  assert_non_null(strstr(text, "udm_build_info{version=\""));
}

static void test_images_have_escaped_labels(void **state) {
  (void)state;
  udm_count_image(90, 90, "cache", "a \"quoted\" \\ name\nof two lines");
  udm_count_image(90, 90, "cache", "a \"quoted\" \\ name\nof two lines");
  udm_count_image(89, 86, "nvrtc", "NVRTC 13.0");
  check_grammar(metrics());
  assert_non_null(strstr(text,
                         "{device_arch=\"sm_90\",image_arch=\"sm_90\",source=\"cache\",producer="
                         "\"a \\\"quoted\\\" \\\\ name\\nof two lines\"} 2\n"));
  assert_non_null(strstr(text,
                         "{device_arch=\"sm_89\",image_arch=\"sm_86\",source=\"nvrtc\",producer="
                         "\"NVRTC 13.0\"} 1\n"));
}

/* A scraper's labels stay few, whatever a process loads. */
static void test_many_images_share_a_line(void **state) {
  (void)state;
  for (int i = 0; i < 100; ++i) {
    char producer[300];
    snprintf(producer, sizeof producer, "%d %0250d", i, i);
    udm_count_image(90, 90, "nvrtc", producer);
  }
  check_grammar(metrics());
  int lines = 0;
  for (const char *at = strstr(text, "\nudm_images_"); at; at = strstr(at + 1, "\nudm_images_")) {
    ++lines;
  }
  assert_int_equal(lines, 33);
  assert_non_null(strstr(text, "source=\"other\""));
}

static void test_a_text_is_cut_to_its_buffer(void **state) {
  (void)state;
  size_t whole = 0;
  size_t length = 0;
  metrics();
  assert_int_equal(udm_get_metrics(NULL, 0, &whole), UDM_OK);
  assert_int_equal(whole, strlen(text));
  for (size_t size = 1; size <= whole + 1; size += size < 300 ? 1 : 97) {
    char *cut = malloc(size); /* exactly: a sanitizer sees a byte too many */
    assert_non_null(cut);
    assert_int_equal(udm_get_metrics(cut, size, &length), UDM_OK);
    assert_int_equal(length, whole);
    assert_int_equal(strlen(cut), size - 1 < whole ? size - 1 : whole);
    assert_int_equal(strncmp(cut, text, size - 1), 0);
    free(cut);
  }
}

static void test_wrong_arguments(void **state) {
  (void)state;
  size_t length = 0;
  assert_int_equal(udm_get_metrics(text, sizeof text, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_get_metrics(NULL, 1, &length), UDM_ERROR_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_counter_has_its_lines),
      cmocka_unit_test(test_images_have_escaped_labels),
      cmocka_unit_test(test_many_images_share_a_line),
      cmocka_unit_test(test_a_text_is_cut_to_its_buffer),
      cmocka_unit_test(test_wrong_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
