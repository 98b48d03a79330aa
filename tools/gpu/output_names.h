/*
 * output_names.h: what the outputs of udm_output are called in messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_GPU_OUTPUT_NAMES_H
#define UDM_TOOLS_GPU_OUTPUT_NAMES_H

#include "udm.h"

static inline const char *output_name(int output) {
  static const char *const names[UDM_OUTPUTS_PER_BACKEND] = {
      [UDM_OUTPUT_CACHE_SEQLENS] = "cache_seqlens",
      [UDM_OUTPUT_CU_SEQLENS_K] = "cu_seqlens_k",
      [UDM_OUTPUT_PAGE_TABLE_1] = "page_table_1",
      [UDM_OUTPUT_NSA_CACHE_SEQLENS] = "nsa_cache_seqlens",
      [UDM_OUTPUT_NSA_CU_SEQLENS_K] = "nsa_cu_seqlens_k",
      [UDM_OUTPUT_REAL_PAGE_TABLE] = "real_page_table",
      [UDM_OUTPUT_SEQLENS_EXPANDED] = "seqlens_expanded",
  };
  return names[output];
}

#endif
