/*
 * output_tensors.c: the output tensors of every backend: see output_tensors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "output_tensors.h"

#include "gpu/output_names.h"
#include "replay/scheduler/page_allocator.h"

const int table_outputs[TABLE_COUNT] = {UDM_OUTPUT_PAGE_TABLE_1, UDM_OUTPUT_REAL_PAGE_TABLE};

const char *output_title(int output) {
  switch (output) {
    case OUTPUT_CU_SEQLENS_Q:
      return "cu_seqlens_q";
    case OUTPUT_CTX_LENS:
      return "paged_mqa_ctx_lens";
    case OUTPUT_SCHEDULE:
      return "paged_mqa_schedule";
    default:
      return output_name(output);
  }
}

int64_t output_stride(const struct output_tensors *outputs, int output) {
  return output == UDM_OUTPUT_PAGE_TABLE_1      ? outputs->page_table_stride
         : output == UDM_OUTPUT_REAL_PAGE_TABLE ? outputs->real_page_table_stride
                                                : 0;
}

static int64_t element_count(const struct output_tensors *outputs, int output) {
  const struct output_shape *shape = &outputs->shape;
  const int64_t tokens = shape->max_tokens;
  if (output >= UDM_OUTPUTS_PER_BACKEND && shape->num_sms == 0) return 0;
  switch (output) {
    case UDM_OUTPUT_CACHE_SEQLENS:
      return shape->max_batch;
    case UDM_OUTPUT_CU_SEQLENS_K:
    case OUTPUT_CU_SEQLENS_Q:
      return (int64_t)shape->max_batch + 1;
    case UDM_OUTPUT_NSA_CU_SEQLENS_K:
      return tokens + 1;
    case UDM_OUTPUT_PAGE_TABLE_1:
      return shape->page_table_1 ? tokens * outputs->page_table_stride : 0;
    case UDM_OUTPUT_REAL_PAGE_TABLE:
      return shape->page_size == 1 ? 0 : tokens * outputs->real_page_table_stride;
    case OUTPUT_SCHEDULE:
      return 2 * ((int64_t)shape->num_sms + 1);
    default: /* an element per query token */
      return tokens;
  }
}

void outputs_create(struct output_tensors *outputs, struct replay_device *device,
                    const struct output_shape *shape) {
  *outputs = (struct output_tensors){.shape = *shape};
  outputs->page_table_stride = (int64_t)shape->columns + ROW_GAP;
  outputs->real_page_table_stride = pages_for(shape->columns, shape->page_size) + ROW_GAP;
  for (int b = 0; b < shape->num_backends; ++b) {
    for (int o = 0; o < OUTPUT_COUNT; ++o) {
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
    for (int o = 0; o < OUTPUT_COUNT; ++o) {
      device->operations->release(device, outputs->tensors[b][o].allocation);
    }
  }
  *outputs = (struct output_tensors){.page_table_stride = 0};
}

void outputs_pointers(const struct output_tensors *outputs, udm_decode_args *args) {
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    CUdeviceptr pointers[OUTPUT_COUNT] = {0};
    for (int o = 0; o < OUTPUT_COUNT; ++o) {
      const struct output_tensor *tensor = &outputs->tensors[b][o];
      if (tensor->allocation) pointers[o] = output_address(tensor, 0);
    }
    args->backends[b] = (udm_backend_outputs){
        .cache_seqlens = pointers[UDM_OUTPUT_CACHE_SEQLENS],
        .cu_seqlens_k = pointers[UDM_OUTPUT_CU_SEQLENS_K],
        .page_table_1 = pointers[UDM_OUTPUT_PAGE_TABLE_1],
        .nsa_cache_seqlens = pointers[UDM_OUTPUT_NSA_CACHE_SEQLENS],
        .nsa_cu_seqlens_k = pointers[UDM_OUTPUT_NSA_CU_SEQLENS_K],
        .real_page_table = pointers[UDM_OUTPUT_REAL_PAGE_TABLE],
        .seqlens_expanded = pointers[UDM_OUTPUT_SEQLENS_EXPANDED],
    };
    args->extra[b] = (udm_extra_outputs){.cu_seqlens_q = pointers[OUTPUT_CU_SEQLENS_Q],
                                         .paged_mqa_ctx_lens = pointers[OUTPUT_CTX_LENS],
                                         .paged_mqa_schedule = pointers[OUTPUT_SCHEDULE]};
  }
}
