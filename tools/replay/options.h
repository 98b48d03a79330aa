/*
 * options.h: what a replay is asked to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_OPTIONS_H
#define UDM_TOOLS_REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

struct replay_options {
  int32_t max_batch;
  int32_t max_context; /* 0: the longest request of the trace, in whole pages */
  int32_t page_size;
  int64_t pool_tokens; /* 0: max_batch requests of average length */
  int32_t draft_tokens;
  bool whole_step;    /* else draft decode alone */
  bool static_extend; /* draft extend reads all verified tokens, not only the accepted ones */
  udm_schedule_variant schedule;
  bool schedule_requests; /* a schedule has a row per request, unless draft extend is ragged */
  int32_t num_backends;   /* of draft decode; the other phases have one */
  int32_t nsa_index_topk;
  int64_t steps; /* 0: until the trace is done */
  uint64_t seed;
  udm_extent extent;
  int32_t max_len; /* -1 or above the columns of a row: all of them */
  udm_int_type seq_lens_type;
  udm_int_type req_pool_indices_type;
  bool no_page_table_1;
  bool table; /* the pointer-table call, else the direct call */
  bool check;
};

#endif
