/*
 * The output tensors of every backend: see outputs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "outputs.h"

#include <string.h>

#include "page_list.h"

const char *const kOutputNames[UDM_OUTPUTS_PER_BACKEND] = {
    "cache_seqlens",    "cu_seqlens_k",    "page_table_1",     "nsa_cache_seqlens",
    "nsa_cu_seqlens_k", "real_page_table", "seqlens_expanded",
};

const int kTableOutputs[kTableCount] = {kPageTable1, kRealPageTable};

int64_t output_stride(const output_tensors *outputs, int output) {
  return output == kPageTable1      ? outputs->page_table_stride
         : output == kRealPageTable ? outputs->real_page_table_stride
                                    : 0;
}

static int64_t element_count(const output_tensors *outputs, int output) {
  const int64_t rows = outputs->shape.max_batch;
  switch (output) {
    case kCuSeqlensK:
    case kNsaCuSeqlensK:
      return rows + 1;
    case kPageTable1:
      return outputs->shape.page_table_1 ? rows * outputs->page_table_stride : 0;
    case kRealPageTable:
      return outputs->shape.page_size == 1 ? 0 : rows * outputs->real_page_table_stride;
    default:
      return rows;
  }
}

void outputs_create(output_tensors *outputs, replay_device *device, const output_shape *shape) {
  *outputs = (output_tensors){.shape = *shape};
  outputs->page_table_stride = (int64_t)shape->max_context + kRowGap;
  outputs->real_page_table_stride = pages_for(shape->max_context, shape->page_size) + kRowGap;
  for (int b = 0; b < shape->num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      output_tensor *tensor = &outputs->tensors[b][o];
      tensor->count = element_count(outputs, o);
      if (tensor->count == 0) continue;
      const size_t total = (size_t)output_total(tensor);
      tensor->allocation = device->operations->allocate(device, total * sizeof(int32_t));
      if (!tensor->allocation) return;
      device->operations->fill(device, tensor->allocation, kSentinel, total);
    }
  }
}

void outputs_release(output_tensors *outputs, replay_device *device) {
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      device->operations->release(device, outputs->tensors[b][o].allocation);
    }
  }
  *outputs = (output_tensors){.page_table_stride = 0};
}

void outputs_pointers(const output_tensors *outputs,
                      udm_backend_outputs backends[UDM_MAX_BACKENDS]) {
  memset(backends, 0, UDM_MAX_BACKENDS * sizeof(*backends));
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    CUdeviceptr pointers[UDM_OUTPUTS_PER_BACKEND] = {0};
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const output_tensor *tensor = &outputs->tensors[b][o];
      if (tensor->allocation) pointers[o] = output_address(tensor, 0);
    }
    backends[b] = (udm_backend_outputs){
        .cache_seqlens = pointers[kCacheSeqlens],
        .cu_seqlens_k = pointers[kCuSeqlensK],
        .page_table_1 = pointers[kPageTable1],
        .nsa_cache_seqlens = pointers[kNsaCacheSeqlens],
        .nsa_cu_seqlens_k = pointers[kNsaCuSeqlensK],
        .real_page_table = pointers[kRealPageTable],
        .seqlens_expanded = pointers[kSeqlensExpanded],
    };
  }
}
