/*
 * decode_check.c: see decode_check.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka needs the headers above */
#include <cmocka.h>

uint64_t decode_check_random_cases(void) {
  const char *text = getenv("UDM_TEST_CASES");
  const unsigned long long count = text ? strtoull(text, NULL, 10) : 0;
  return count > 0 ? count : 150;
}

struct decode_case *decode_check_create(const struct decode_case_request *request) {
  struct decode_case *c = NULL;
  const udm_status status = decode_case_create(request, &c);
  if (status != UDM_OK) {
    fail_msg("seed %llu: %s: %s", (unsigned long long)request->seed, udm_status_name(status),
             udm_last_error());
  }
  return c;
}

void decode_check_launch(const struct decode_case *c, struct host_kernel_dim3 grid, uint64_t seed) {
  char text[HOST_KERNEL_TEXT_SIZE];
  char description[DECODE_CASE_TEXT_SIZE];
  struct decode_memory memory;
  assert_true(decode_memory_allocate(c, &memory));
  const bool right = decode_case_launch(c, &memory, grid, seed, text);
  decode_memory_free(&memory);
  if (right) return;
  decode_case_describe(c, description, sizeof description);
  fail_msg("%s\n  grid %u x %u, order %llu, %s", text, grid.x, grid.y, (unsigned long long)seed,
           description);
}

void decode_check_request(const struct decode_case_request *request) {
  struct decode_case *c = decode_check_create(request);
  decode_check_launch(c, decode_launch_grid(&c->args), request->seed);
  decode_case_destroy(c);
}
