/*
 * decode_args.h: the checks that udm_decode_args must pass before anything is
 * read through its pointers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_DECODE_ARGS_H
#define UDM_RUNTIME_LAUNCH_DECODE_ARGS_H

#include <stdbool.h>

#include "core/status.h"

/*
 * The checks of the direct call and of the reference. An older caller's structure has fewer fields:
 * then *args becomes *storage, a copy with the defaults of the others.
 */
udm_status udm_check_decode_args(const udm_decode_args **args, udm_decode_args *storage,
                                 struct error *error);

/* The checks of the pointer-table call, whose seven outputs per backend are in device memory. */
udm_status udm_check_decode_args_for_table(const udm_decode_args **args, udm_decode_args *storage,
                                           struct error *error);

/* True if no field behind `backends` is set: seven outputs in UDM_MODE_DECODE. */
bool udm_is_decode_only(const udm_decode_args *args);

/* n(i), unless extend_lens is set. */
int32_t udm_tokens_per_request(const udm_decode_args *args);

/* T of udm_mode. */
int32_t udm_num_tokens(const udm_decode_args *args);

/* Table columns are written for the backend with the largest offset. */
int32_t udm_largest_offset(const udm_decode_args *args);

/* True if any column of any page table is to be written. */
static inline bool udm_has_page_columns(const udm_decode_args *args) {
  return args->batch_size > 0 && args->max_len > 0;
}

#endif
