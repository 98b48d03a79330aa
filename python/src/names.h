/*
 * names.h: the attribute names that this extension looks up, interned once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_NAMES_H
#define UDM_PYTHON_NAMES_H

#include "python_api.h"

/* X(identifier, spelling) */
#define NAME_TABLE(X)                                   \
  X(cache_seqlens_int32, "cache_seqlens_int32")         \
  X(cu_seqlens_k, "cu_seqlens_k")                       \
  X(page_table_1, "page_table_1")                       \
  X(nsa_cache_seqlens_int32, "nsa_cache_seqlens_int32") \
  X(nsa_cu_seqlens_k, "nsa_cu_seqlens_k")               \
  X(real_page_table, "real_page_table")                 \
  X(nsa_seqlens_expanded, "nsa_seqlens_expanded")       \
  X(dsa_cache_seqlens_int32, "dsa_cache_seqlens_int32") \
  X(dsa_cu_seqlens_k, "dsa_cu_seqlens_k")               \
  X(dsa_seqlens_expanded, "dsa_seqlens_expanded")       \
  X(exchange_api, "__dlpack_c_exchange_api__")          \
  X(dlpack, "__dlpack__")                               \
  X(dlpack_device, "__dlpack_device__")                 \
  X(cuda_array_interface, "__cuda_array_interface__")   \
  X(cuda_stream_protocol, "__cuda_stream__")            \
  X(cuda_stream, "cuda_stream")                         \
  X(data_ptr, "data_ptr")                               \
  X(device, "device")                                   \
  X(dtype, "dtype")                                     \
  X(index, "index")                                     \
  X(ptr, "ptr")                                         \
  X(shape, "shape")                                     \
  X(stride, "stride")                                   \
  X(type, "type")

struct names {
#define NAME_FIELD(identifier, spelling) PyObject *identifier;
  NAME_TABLE(NAME_FIELD)
#undef NAME_FIELD
};

extern struct names name;

int names_create(void); /* -1 with an exception set */

#endif
