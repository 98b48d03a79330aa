/*
 * kernel_interface.h: what the host must know of nvrtc_src/decode_metadata.cu.
 * The order of the parameters is in launch.c; tests/launch compares this file with
 * the source of the kernel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_KERNEL_INTERFACE_H
#define UDM_RUNTIME_LAUNCH_KERNEL_INTERFACE_H

/* The kernels: each is udm_decode_metadata_NAME in the source and NAME in udm_context. */
#define UDM_FOR_EACH_KERNEL(X) X(direct) X(direct_large_batch) X(table) X(general)

enum {
  UDM_KERNEL_THREADS_PER_BLOCK = 256, /* kThreads */
  UDM_KERNEL_WARPS_PER_BLOCK = UDM_KERNEL_THREADS_PER_BLOCK / 32,
  UDM_KERNEL_MAX_LENGTH_BLOCKS = 32, /* kMaxLengthBlocks */
  UDM_KERNEL_TILE = 128,             /* kUnit */
  UDM_KERNEL_ANCHOR_SHIFT = 8        /* kAnchorShift: the bits of the flags from here up */
};

/* enum Flag */
enum {
  UDM_KERNEL_SEQ_LENS_INT64 = 1,         /* kSeqLensInt64 */
  UDM_KERNEL_REQ_POOL_INDICES_INT64 = 2, /* kReqPoolIndicesInt64 */
  UDM_KERNEL_EXTENT_BATCH_MAX = 4,       /* kExtentBatchMax */
  UDM_KERNEL_PAGES = 8,                  /* kPages */
  UDM_KERNEL_SLOTS = 16,                 /* kSlots */
  UDM_KERNEL_VECTORS = 32                /* kVectors */
};

#endif
