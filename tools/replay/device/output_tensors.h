/*
 * output_tensors.h: the output tensors of every backend. Each has an allocation of its own, full of
 * a sentinel, with guard elements before and after the tensor, and a gap behind every row of a page
 * table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_DEVICE_OUTPUT_TENSORS_H
#define UDM_TOOLS_REPLAY_DEVICE_OUTPUT_TENSORS_H

#include "device.h"

enum {
  GUARD_ELEMENTS = 64, /* on each side: keeps the tensors 256-byte aligned */
  BOTH_GUARDS = 2 * GUARD_ELEMENTS,
  ROW_GAP = 16,
  SENTINEL = -1515870811, /* 0xa5a5a5a5: no length, slot or page is negative */
};

/* The outputs: those of udm_output, then those of udm_extra_outputs. */
enum {
  OUTPUT_CU_SEQLENS_Q = UDM_OUTPUTS_PER_BACKEND,
  OUTPUT_CTX_LENS,
  OUTPUT_SCHEDULE,
  OUTPUT_COUNT
};

const char *output_title(int output);

/* The page tables by what they hold. No other output has rows. */
enum { SLOTS, PAGES, TABLE_COUNT };
extern const int table_outputs[TABLE_COUNT];

struct output_tensor {
  CUdeviceptr allocation; /* 0: this tensor is null */
  int64_t count;          /* elements without guards */
};

struct output_shape {
  int32_t num_backends;
  int32_t max_batch;
  int32_t max_tokens; /* query tokens: the rows of the page tables */
  int32_t columns;    /* of page_table_1 */
  int32_t page_size;
  bool page_table_1; /* false: it is null */
  int32_t num_sms;   /* of the schedule; 0: the extra outputs are null */
};

struct output_tensors {
  struct output_shape shape;
  int64_t page_table_stride;
  int64_t real_page_table_stride;
  struct output_tensor tensors[UDM_MAX_BACKENDS][OUTPUT_COUNT];
};

/* A failure sets device->error; the caller may release the outputs then too. */
void outputs_create(struct output_tensors *outputs, struct replay_device *device,
                    const struct output_shape *shape);
void outputs_release(struct output_tensors *outputs, struct replay_device *device);

/* The elements of the whole allocation. */
static inline int64_t output_total(const struct output_tensor *tensor) {
  return tensor->count + BOTH_GUARDS;
}

/* The address of an element; a negative one lies in the guard. */
static inline CUdeviceptr output_address(const struct output_tensor *tensor, int64_t element) {
  return tensor->allocation + (CUdeviceptr)((GUARD_ELEMENTS + element) * (int64_t)sizeof(int32_t));
}

/* The elements from one row to the next; 0: the output has no rows. */
int64_t output_stride(const struct output_tensors *outputs, int output);

/* Sets backends and extra of args. */
void outputs_pointers(const struct output_tensors *outputs, udm_decode_args *args);

#endif
