/*
 * gpu_fixture.c: see gpu_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"

enum { SKIPPED = 77 };

static void skip_because(const char *reason) {
  printf("skipped: %s\n", reason);
  exit(SKIPPED);
}

static void fail_because(const char *reason) {
  printf("failed: %s\n", reason);
  exit(1);
}

void gpu_fixture_skip_if_impossible(void) {
  const char *named = getenv("UDM_DRIVER_LIBRARY");
  void (*no_driver)(const char *) = named && *named ? fail_because : skip_because;
  udm_driver_info driver;
  memset(&driver, 0, sizeof driver);
  driver.struct_size = sizeof driver;
  const udm_status status = udm_query_driver(NULL, &driver);
  if (status == UDM_ERROR_NO_DRIVER) {
    no_driver(udm_last_error());
  } else if (status != UDM_OK) {
    fail_because(udm_last_error());
  }
  if (driver.device_count == 0) no_driver("the driver finds no device");
}

static struct gpu_session session;

int gpu_fixture_open(void **state) {
  char error[9216];
  if (!gpu_session_open(&session, NULL, 0, error, sizeof error)) {
    print_error("%s\n", error);
    return -1;
  }
  *state = &session;
  return 0;
}

int gpu_fixture_close(void **state) {
  gpu_session_close(*state);
  return 0;
}

uint64_t gpu_fixture_number(const char *variable, uint64_t otherwise) {
  const char *text = getenv(variable);
  const unsigned long long number = text ? strtoull(text, NULL, 10) : 0;
  return number > 0 ? number : otherwise;
}

struct decode_case *gpu_fixture_create_case(const struct decode_case_request *request) {
  struct decode_case *c = NULL;
  const udm_status status = decode_case_create(request, &c);
  if (status != UDM_OK) {
    fail_msg("seed %llu: %s: %s", (unsigned long long)request->seed, udm_status_name(status),
             udm_last_error());
  }
  return c;
}

void gpu_fixture_check_outputs(struct case_runner *runner, const struct decode_case *c) {
  char text[DECODE_CASE_TEXT_SIZE];
  char description[DECODE_CASE_TEXT_SIZE];
  bool matches = false;
  if (!case_runner_compare(runner, c, &matches, text, sizeof text)) fail_msg("%s", runner->error);
  if (matches) return;
  decode_case_describe(c, description, sizeof description);
  fail_msg("%s\n  %s", text, description);
}

void gpu_fixture_check_case(struct case_runner *runner, const struct decode_case *c) {
  if (!case_runner_upload(runner, c) || !case_runner_launch(runner, c)) {
    fail_msg("%s", runner->error);
  }
  gpu_fixture_check_outputs(runner, c);
}

void gpu_fixture_check_request(struct case_runner *runner,
                               const struct decode_case_request *request) {
  struct decode_case *c = gpu_fixture_create_case(request);
  gpu_fixture_check_case(runner, c);
  decode_case_destroy(c);
}

void gpu_fixture_assert(const struct cuda_driver *driver, CUresult result, const char *call) {
  if (result != CUDA_SUCCESS) fail_msg("%s: %s", call, cuda_driver_error(driver, result));
}
