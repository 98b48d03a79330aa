/*
 * kernel_params.h: what host and kernel share: sizes, flags, and the parameters of the kernels in
 * their order. C11 on the host; for NVRTC the build puts it in front of decode_metadata.cu.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_KERNEL_PARAMS_H
#define UDM_KERNEL_PARAMS_H

enum {
  UDM_KERNEL_THREADS = 256, /* per block; also the most requests of a window */
  UDM_KERNEL_WARPS = UDM_KERNEL_THREADS / 32,
  UDM_KERNEL_TILE = 128,      /* columns of a tile */
  UDM_KERNEL_PAGE_TILE = 32,  /* pages of a tile if there is no page_table_1 */
  UDM_KERNEL_SLICE_TILES = 4, /* most tiles of a slice */
  UDM_KERNEL_DIRECT_BACKENDS = 3,
  UDM_KERNEL_GENERAL_BACKENDS = 8
};

/* Bits of the parameter flags. */
enum {
  UDM_KERNEL_SEQ_LENS_INT64 = 1,
  UDM_KERNEL_REQ_POOL_INDICES_INT64 = 2,
  UDM_KERNEL_EXTENT_BATCH_MAX = 4,
  UDM_KERNEL_PAGES = 8,  /* a real_page_table may be written */
  UDM_KERNEL_SLOTS = 16, /* a page_table_1 is written */
  /* A row has the same alignment modulo 16 bytes in each page_table_1; so have its equal rows. */
  UDM_KERNEL_VECTORS = 32,
  UDM_KERNEL_DYNAMIC = 64, /* a row of max_len columns has tiles that the static part leaves */
  UDM_KERNEL_LINE_OFFSET_BIT = 8, /* five bits: where in its 128-byte line, in int32s, the first
                                     page_table_1 begins */
  UDM_KERNEL_SCHEDULE_SM100 = 1 << 13,
  UDM_KERNEL_GENERAL_FLAGS = 1 << 16, /* this one and all above: of the general kernel alone */
  UDM_KERNEL_EXTEND_LENS_INT64 = UDM_KERNEL_GENERAL_FLAGS,
  UDM_KERNEL_ADD_TOKENS = 1 << 17, /* the KV length is seq_lens plus the query tokens */
  UDM_KERNEL_ROW_PER_REQUEST = 1 << 18,
  UDM_KERNEL_SKIP_PADDING = 1 << 19,
  UDM_KERNEL_CTX_LENS_OF_REQUEST = 1 << 20,
  UDM_KERNEL_SCHEDULE_OF_REQUESTS = 1 << 21, /* a row of the schedule is a request, not a token */
  UDM_KERNEL_COPIES_APART = 1 << 22 /* static part: each of a request's rows has its own warps */
};

/* The outputs of a backend: enum udm_output of udm.h, which NVRTC does not see, then the extra
 * ones. */
enum {
  UDM_KERNEL_CACHE_SEQLENS,
  UDM_KERNEL_CU_SEQLENS_K,
  UDM_KERNEL_PAGE_TABLE_1,
  UDM_KERNEL_NSA_CACHE_SEQLENS,
  UDM_KERNEL_NSA_CU_SEQLENS_K,
  UDM_KERNEL_REAL_PAGE_TABLE,
  UDM_KERNEL_SEQLENS_EXPANDED,
  UDM_KERNEL_OUTPUTS,
  UDM_KERNEL_CU_SEQLENS_Q = UDM_KERNEL_OUTPUTS,
  UDM_KERNEL_CTX_LENS,
  UDM_KERNEL_SCHEDULE,
  UDM_KERNEL_ALL_OUTPUTS
};

/*
 * Parameters that both kernels take first, in the order in which the kernels need them. A
 * reciprocal is UINT32_MAX / divisor, so that the kernel multiplies where it would divide.
 */
#define UDM_KERNEL_SCALARS(X)                                   \
  X(const void *, seq_lens)                                     \
  X(const void *, req_pool_indices)                             \
  X(unsigned, batch_size)                                       \
  X(unsigned, flags)                                            \
  X(unsigned, copy_blocks)                                      \
  X(unsigned, num_windows)                                      \
  X(unsigned, num_windows_reciprocal)                           \
  X(unsigned, blocks_per_window)                                \
  X(unsigned, window_rows)                                      \
  X(unsigned, window_rows_reciprocal)                           \
  X(unsigned, slices_per_row) /* that the static part copies */ \
  X(int, max_len)                                               \
  X(const int *, req_to_token)                                  \
  X(long long, req_to_token_stride)                             \
  X(long long, page_table_stride)                               \
  X(long long, real_page_table_stride)                          \
  X(unsigned, page_size)                                        \
  X(unsigned, page_reciprocal)                                  \
  X(int, topk)                                                  \
  X(int, num_backends)                                          \
  X(unsigned, length_blocks)                                    \
  X(unsigned, chunks_per_block) /* of a length block: 256 runs each */

#define UDM_KERNEL_FIELD(type, name) type name;
struct udm_kernel_scalars {
  UDM_KERNEL_SCALARS(UDM_KERNEL_FIELD)
};

/*
 * The direct kernel serves decode mode. It then takes the pointers of three backends to each of
 * these outputs, null beyond the last backend, in this order: the page tables are needed first.
 */
#define UDM_KERNEL_DIRECT_OUTPUTS(X) \
  X(PAGE_TABLE_1)                    \
  X(REAL_PAGE_TABLE)                 \
  X(CACHE_SEQLENS)                   \
  X(CU_SEQLENS_K)                    \
  X(NSA_CACHE_SEQLENS)               \
  X(NSA_CU_SEQLENS_K)                \
  X(SEQLENS_EXPANDED)                \
  X(CTX_LENS)                        \
  X(SCHEDULE)

/* Its last parameter is num_sms, as below. */

/* What the general kernel takes, and the direct kernel makes of constants. */
struct udm_kernel_phase {
  const void *extend_lens; /* query tokens per request, or null: tokens_per_request */
  unsigned tokens_per_request;
  unsigned tokens_reciprocal;
  unsigned num_tokens; /* T of udm.h */
  unsigned kpool;      /* 1 or more */
  unsigned kpool_reciprocal;
  int largest_offset;
  unsigned length_groups;   /* each has its length blocks: all backends together, or one each */
  unsigned schedule_pieces; /* m of udm.h */
  unsigned num_sms;         /* of a schedule */
  /* device [UDM_KERNEL_OUTPUTS][backend_pointers_stride], or null */
  const long long *backend_pointers;
  long long backend_pointers_stride;
};

/* The last parameter of the general kernel, which serves every mode. */
struct udm_kernel_general {
  struct udm_kernel_phase phase;
  int offsets[UDM_KERNEL_GENERAL_BACKENDS]; /* added to the lengths of a backend */
  /* If there are backend_pointers, only the extra ones are used. */
  int *outputs[UDM_KERNEL_GENERAL_BACKENDS][UDM_KERNEL_ALL_OUTPUTS];
};

#endif
