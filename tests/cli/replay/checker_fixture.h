/*
 * checker_fixture.h: a small replay with every step checked, on a device that can
 * spoil what the C reference read or wrote: a test plants a fault, and the checker
 * must find it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CLI_CHECKER_FIXTURE_H
#define UDM_TESTS_CLI_CHECKER_FIXTURE_H

#include "replay/run.h"

/* Called after the reference has run, at step number spoil_step and in spoil_phase. */
typedef void (*spoil_function)(const udm_decode_args *args);

/* What a test asks for; what it leaves 0 is the usual. */
struct checked_replay {
  udm_extent extent;
  int64_t steps;
  int64_t spoil_step;
  spoil_function spoil; /* NULL: nothing is spoilt */
  bool large_tables;    /* too large to be swept in every step */
  int32_t page_size;    /* 0: 16 */
  int64_t pool_tokens;  /* 0: enough for a full batch; less makes its size vary */
  int32_t max_len;      /* 0: max_context */
  bool no_page_table_1;
  bool table_entry;
  bool whole_step; /* else draft decode alone */
  bool static_extend;
  udm_schedule_variant schedule; /* of a whole step */
  bool schedule_requests;
  enum step_phase spoil_phase;
  udm_int_type seq_lens_type;
};

/* Aborts the test when the replay cannot run. req_pool_indices are int64. */
void fixture_run(const struct checked_replay *wanted, struct replay_result *result);

/* What a spoil_function needs. */

static inline int32_t *elements(CUdeviceptr pointer) { return (int32_t *)(uintptr_t)pointer; }

int64_t integer(CUdeviceptr values, udm_int_type type, int64_t index);

/* seq_lens[row] */
int64_t length_of(const udm_decode_args *args, int64_t row);

/* By the number of the output. */
CUdeviceptr pointer_of(const udm_decode_args *args, int backend, int output);

#endif
