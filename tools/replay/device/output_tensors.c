/*
 * output_tensors.c: the output tensors of every backend: see output_tensors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "output_tensors.h"

#include <string.h>

#include "replay/scheduler/page_allocator.h"

const int table_outputs[TABLE_COUNT] = {UDM_OUTPUT_PAGE_TABLE_1, UDM_OUTPUT_REAL_PAGE_TABLE};

int64_t output_stride(const struct output_tensors *outputs, int output) {
  return output == UDM_OUTPUT_PAGE_TABLE_1      ? outputs->page_table_stride
         : output == UDM_OUTPUT_REAL_PAGE_TABLE ? outputs->real_page_table_stride
                                                : 0;
}

static int64_t element_count(const struct output_tensors *outputs, int output) {
  const int64_t rows = outputs->shape.max_batch;
  switch (output) {
    case UDM_OUTPUT_CU_SEQLENS_K:
    case UDM_OUTPUT_NSA_CU_SEQLENS_K:
      return rows + 1;
    case UDM_OUTPUT_PAGE_TABLE_1:
      return outputs->shape.page_table_1 ? rows * outputs->page_table_stride : 0;
    case UDM_OUTPUT_REAL_PAGE_TABLE:
      return outputs->shape.page_size == 1 ? 0 : rows * outputs->real_page_table_stride;
    default:
      return rows;
  }
}

void outputs_create(struct output_tensors *outputs, struct replay_device *device,
                    const struct output_shape *shape) {
  *outputs = (struct output_tensors){.shape = *shape};
  outputs->page_table_stride = (int64_t)shape->max_context + ROW_GAP;
  outputs->real_page_table_stride = pages_for(shape->max_context, shape->page_size) + ROW_GAP;
  for (int b = 0; b < shape->num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      struct output_tensor *tensor = &outputs->tensors[b][o];
      tensor->count = element_count(outputs, o);
      if (tensor->count == 0) continue;
      const size_t total = (size_t)output_total(tensor);
      tensor->allocation = device->operations->allocate(device, total * sizeof(int32_t));
      if (!tensor->allocation) return;
      device->operations->fill(device, tensor->allocation, SENTINEL, total);
    }
  }
}

void outputs_release(struct output_tensors *outputs, struct replay_device *device) {
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      device->operations->release(device, outputs->tensors[b][o].allocation);
    }
  }
  *outputs = (struct output_tensors){.page_table_stride = 0};
}

void outputs_pointers(const struct output_tensors *outputs,
                      udm_backend_outputs backends[UDM_MAX_BACKENDS]) {
  memset(backends, 0, UDM_MAX_BACKENDS * sizeof *backends);
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    CUdeviceptr pointers[UDM_OUTPUTS_PER_BACKEND] = {0};
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const struct output_tensor *tensor = &outputs->tensors[b][o];
      if (tensor->allocation) pointers[o] = output_address(tensor, 0);
    }
    backends[b] = (udm_backend_outputs){
        .cache_seqlens = pointers[UDM_OUTPUT_CACHE_SEQLENS],
        .cu_seqlens_k = pointers[UDM_OUTPUT_CU_SEQLENS_K],
        .page_table_1 = pointers[UDM_OUTPUT_PAGE_TABLE_1],
        .nsa_cache_seqlens = pointers[UDM_OUTPUT_NSA_CACHE_SEQLENS],
        .nsa_cu_seqlens_k = pointers[UDM_OUTPUT_NSA_CU_SEQLENS_K],
        .real_page_table = pointers[UDM_OUTPUT_REAL_PAGE_TABLE],
        .seqlens_expanded = pointers[UDM_OUTPUT_SEQLENS_EXPANDED],
    };
  }
}
