/*
 * Compares what a step wrote with what the allocator knows: which request holds
 * which pages. Neither req_to_token nor the C reference is looked at.
 *
 * After the comparison the elements that had to be written are set to the
 * sentinel again, so that the next step must write them anew, and so that
 * whatever is not the sentinel afterwards was written where it must not be: a
 * gap behind every row is looked at each step, everything in check_sweep(), and
 * what a step is about to write over in check_newly_covered(). So no stray write
 * is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_H
#define UDM_TOOLS_REPLAY_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "mismatch.h"
#include "outputs.h"
#include "scheduler.h"

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

/*
 * Before the launch of the step whose batch is scheduler->running, padded to
 * batch_size: looks at the columns that this step covers and the one before did
 * not. A stray write there would be written over.
 */
void check_newly_covered(struct step_checker *checker, const struct batch_scheduler *scheduler,
                         int32_t batch_size);

/*
 * Checks the step whose batch is scheduler->running, padded to batch_size.
 * When it returns, every element that had to be written is the sentinel again.
 */
void check_step(struct step_checker *checker, const struct batch_scheduler *scheduler,
                int32_t batch_size, int64_t step);

/* After check_step(): looks at every element of every allocation. */
void check_sweep(struct step_checker *checker);

/* The parts of check_step(), each in a file of its own. */
void check_lengths(struct step_checker *checker, const struct batch_scheduler *scheduler,
                   int32_t batch_size);
void check_tables(struct step_checker *checker, const struct batch_scheduler *scheduler,
                  int32_t batch_size);

/* What the parts share. */

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
