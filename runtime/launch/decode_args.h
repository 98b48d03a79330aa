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

/* The checks of the direct call and of the reference. */
udm_status udm_check_decode_args(const udm_decode_args *args, int32_t max_backends,
                                 struct error *error);

/* The checks of the pointer-table call, whose outputs are in device memory. */
udm_status udm_check_decode_args_for_table(const udm_decode_args *args, struct error *error);

/* True if any column of any page table is to be written. */
static inline bool udm_has_page_columns(const udm_decode_args *args) {
  return args->batch_size > 0 && args->max_len > 0;
}

#endif
