/*
 * checker.h: what the checks of a replay share: the state, the comparison, the
 * staging memory and the rows of the tables. check.h says how they work.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_CHECKER_H
#define UDM_TOOLS_REPLAY_CHECK_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "mismatch.h"
#include "replay/device/device.h"
#include "replay/device/output_tensors.h"
#include "replay/scheduler/scheduler.h"

struct column_range {
  int32_t first;
  int32_t last; /* the one behind */
};

/* A row of the batch in the tables of all backends. */
struct checked_row {
  int32_t live[TABLE_COUNT];  /* columns that the step has to write */
  int32_t clean[TABLE_COUNT]; /* columns that were the sentinel after the latest step was checked */
  struct column_range range[TABLE_COUNT];              /* what is looked at */
  const int32_t *views[UDM_MAX_BACKENDS][TABLE_COUNT]; /* and where; NULL: nothing */
};

struct step_checker {
  struct replay_device *device;
  const struct output_tensors *outputs;
  udm_extent extent;
  int32_t nsa_index_topk;
  int32_t max_len;
  struct mismatch_log log;
  int64_t step;       /* the latest */
  int64_t swept_step; /* the latest that a sweep followed */

  int32_t *staging; /* NULL: the host reads the device's memory */
  int64_t staging_count;
  int64_t staging_used;
  int32_t *want_rows[TABLE_COUNT]; /* one row of each table, with its gap */
  int32_t *want_lengths;           /* the largest of the other tensors, with its guards */
  struct checked_row *rows;        /* max_batch of them */
};

/* False without memory; device->error may say more. */
bool checker_create(struct step_checker *checker, struct replay_device *device,
                    const struct output_tensors *outputs, const udm_decode_args *args);
void checker_destroy(struct step_checker *checker);

/* Sets rows[.].live. */
void checker_live_columns(struct step_checker *checker, const struct batch_scheduler *scheduler,
                          int32_t batch_size);
/*
 * Views rows[.].range of the rows from first on, as many as there is staging
 * memory for, and waits. Returns the row behind the last of them.
 */
int32_t checker_view_rows(struct step_checker *checker, int32_t first, int32_t batch_size);
CUdeviceptr checker_row_address(const struct step_checker *checker, int backend, int table,
                                int32_t row);
const int32_t *checker_view(struct step_checker *checker, CUdeviceptr from, int64_t count);
void checker_wait(struct step_checker *checker);

/*
 * Compares count elements, of which [first_live, last_live) had to be written;
 * origin says where got[0] lies.
 */
void checker_compare(struct step_checker *checker, const int32_t *got, const int32_t *want,
                     int64_t count, int64_t first_live, int64_t last_live,
                     const struct wrong_element *origin);

/* The tokens of row i of the batch, padding included. */
int32_t checker_length(const struct batch_scheduler *scheduler, int32_t i);

#endif
