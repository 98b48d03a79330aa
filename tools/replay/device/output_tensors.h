/*
 * output_tensors.h: the output tensors of every backend, each in an allocation of its own that is
 * filled with a sentinel, with guard elements before and after the tensor and a
 * gap behind every row of a page table.
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

/* The page tables, which alone have rows, by what they hold; and which outputs they are. */
enum { SLOTS, PAGES, TABLE_COUNT };
extern const int table_outputs[TABLE_COUNT];

struct output_tensor {
  CUdeviceptr allocation; /* 0: this tensor is null */
  int64_t count;          /* elements, guards not counted */
};

struct output_shape {
  int32_t num_backends;
  int32_t max_batch;
  int32_t max_context;
  int32_t page_size;
  bool page_table_1; /* else it is null */
};

struct output_tensors {
  struct output_shape shape;
  int64_t page_table_stride;
  int64_t real_page_table_stride;
  struct output_tensor tensors[UDM_MAX_BACKENDS][UDM_OUTPUTS_PER_BACKEND];
};

/* Allocates and fills. After a failure device->error is set and outputs may be released. */
void outputs_create(struct output_tensors *outputs, struct replay_device *device,
                    const struct output_shape *shape);
void outputs_release(struct output_tensors *outputs, struct replay_device *device);

/* Elements of the whole allocation. */
static inline int64_t output_total(const struct output_tensor *tensor) {
  return tensor->count + BOTH_GUARDS;
}

/* The address of an element; negative ones lie in the guard. */
static inline CUdeviceptr output_address(const struct output_tensor *tensor, int64_t element) {
  return tensor->allocation + (CUdeviceptr)((GUARD_ELEMENTS + element) * (int64_t)sizeof(int32_t));
}

/* Elements from row to row of an output; 0: it has no rows. */
int64_t output_stride(const struct output_tensors *outputs, int output);

/* The pointers as a udm call takes them. */
void outputs_pointers(const struct output_tensors *outputs,
                      udm_backend_outputs backends[UDM_MAX_BACKENDS]);

#endif
