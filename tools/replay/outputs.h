/*
 * The output tensors of every backend, each in an allocation of its own that is
 * filled with a sentinel, with guard elements before and after the tensor and a
 * gap behind every row of a page table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_OUTPUTS_H
#define UDM_TOOLS_REPLAY_OUTPUTS_H

#include "device.h"

enum {
  kGuardElements = 64, /* on each side: keeps the tensors 256-byte aligned */
  kBothGuards = 2 * kGuardElements,
  kRowGap = 16,
  kSentinel = -1515870811, /* 0xa5a5a5a5: no length, slot or page is negative */
};

/* The seven outputs, in the order of udm_backend_outputs. */
enum {
  kCacheSeqlens,
  kCuSeqlensK,
  kPageTable1,
  kNsaCacheSeqlens,
  kNsaCuSeqlensK,
  kRealPageTable,
  kSeqlensExpanded
};

extern const char *const kOutputNames[UDM_OUTPUTS_PER_BACKEND];

/* The page tables, which alone have rows, by what they hold; and which outputs they are. */
enum { kSlots, kPages, kTableCount };
extern const int kTableOutputs[kTableCount];

typedef struct output_tensor {
  CUdeviceptr allocation; /* 0: this tensor is null */
  int64_t count;          /* elements, guards not counted */
} output_tensor;

typedef struct output_shape {
  int32_t num_backends;
  int32_t max_batch;
  int32_t max_context;
  int32_t page_size;
  bool page_table_1; /* else it is null */
} output_shape;

typedef struct output_tensors {
  output_shape shape;
  int64_t page_table_stride;
  int64_t real_page_table_stride;
  output_tensor tensors[UDM_MAX_BACKENDS][UDM_OUTPUTS_PER_BACKEND];
} output_tensors;

/* Allocates and fills. After a failure device->error is set and outputs may be released. */
void outputs_create(output_tensors *outputs, replay_device *device, const output_shape *shape);
void outputs_release(output_tensors *outputs, replay_device *device);

/* Elements of the whole allocation. */
static inline int64_t output_total(const output_tensor *tensor) {
  return tensor->count + kBothGuards;
}

/* The address of an element; negative ones lie in the guard. */
static inline CUdeviceptr output_address(const output_tensor *tensor, int64_t element) {
  return tensor->allocation + (CUdeviceptr)((kGuardElements + element) * (int64_t)sizeof(int32_t));
}

/* Elements from row to row of an output; 0: it has no rows. */
int64_t output_stride(const output_tensors *outputs, int output);

/* The pointers as a udm call takes them. */
void outputs_pointers(const output_tensors *outputs,
                      udm_backend_outputs backends[UDM_MAX_BACKENDS]);

#endif /* UDM_TOOLS_REPLAY_OUTPUTS_H */
