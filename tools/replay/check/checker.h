/*
 * checker.h: what the checks of a replay share: state, comparison, staging memory and the rows of
 * the tables. check.h says how they work.
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
#include "replay/scheduler/phase.h"

struct column_range {
  int32_t first;
  int32_t last; /* not included */
};

/* The row of a query token in the tables of all backends. */
struct checked_row {
  int32_t request;                        /* of the batch; -1: there is no such query token */
  int32_t length;                         /* how many tokens it sees */
  int32_t live[TABLE_COUNT];              /* columns that the step must write */
  int32_t clean[TABLE_COUNT];             /* columns that were the sentinel after the last check */
  struct column_range range[TABLE_COUNT]; /* the columns to view */
  const int32_t *views[UDM_MAX_BACKENDS][TABLE_COUNT]; /* where the host reads them; NULL: none */
};

struct step_checker {
  struct replay_device *device;
  const struct output_tensors *outputs;
  const udm_decode_args *args; /* what the calls have in common */
  enum step_phase phase;
  const struct phase_batch *batch; /* the present one */
  struct mismatch_log *log;
  int64_t step;       /* the latest */
  int64_t swept_step; /* the latest after which a sweep ran */

  int32_t *staging; /* NULL: the host reads the device's memory */
  int64_t staging_count;
  int64_t staging_used;
  int32_t *want_rows[TABLE_COUNT]; /* one row of each table, with its gap */
  int32_t *want_lengths;           /* the largest of the other tensors, with its guards */
  int32_t *schedule_lengths;       /* of the rows of a schedule */
  struct checked_row *rows;        /* max_tokens of them */
};

/* Returns false if memory runs out; device->error may say more. All pointers must stay valid. */
bool checker_create(struct step_checker *checker, struct replay_device *device,
                    const struct output_tensors *outputs, const udm_decode_args *args,
                    enum step_phase phase, struct mismatch_log *log);
void checker_destroy(struct step_checker *checker);

/* Makes the batch the present one: sets request, length and live of its rows. */
void checker_set_batch(struct step_checker *checker, const struct phase_batch *batch);
/*
 * Views `range` of the rows of the batch from first on, as many as fit into the staging memory, and
 * waits. Returns the first row that did not fit.
 */
int32_t checker_view_rows(struct step_checker *checker, int32_t first);
CUdeviceptr checker_row_address(const struct step_checker *checker, int backend, int table,
                                int32_t row);
const int32_t *checker_view(struct step_checker *checker, CUdeviceptr from, int64_t count);
void checker_wait(struct step_checker *checker);

/*
 * Compares count elements. The step had to write [first_live, last_live); origin says where got[0]
 * lies.
 */
void checker_compare(struct step_checker *checker, const int32_t *got, const int32_t *want,
                     int64_t count, int64_t first_live, int64_t last_live,
                     const struct wrong_element *origin);

#endif
