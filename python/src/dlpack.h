/*
 * dlpack.h: the part of DLPack 1.x that this extension needs. Declared here so
 * that the build needs no DLPack header; tests/compare_dlpack.c compares it with
 * the real one. The names are DLPack's own in this project's spelling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_DLPACK_H
#define UDM_PYTHON_DLPACK_H

#include <stdint.h>

enum { DLPACK_MAJOR = 1 }; /* the only layout that this extension knows */

enum dlpack_device_type {
  DLPACK_CPU = 1,
  DLPACK_CUDA = 2,
  DLPACK_CUDA_HOST = 3,
  DLPACK_CUDA_MANAGED = 13
};

enum dlpack_type_code {
  DLPACK_INT = 0,
  DLPACK_UINT = 1,
  DLPACK_FLOAT = 2,
  DLPACK_OPAQUE_HANDLE = 3,
  DLPACK_BFLOAT = 4,
  DLPACK_COMPLEX = 5,
  DLPACK_BOOL = 6
};

struct dlpack_version {
  uint32_t major;
  uint32_t minor;
};

struct dlpack_device {
  int32_t type; /* dlpack_device_type, or a type that this extension does not know */
  int32_t id;
};

struct dlpack_data_type {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct dlpack_tensor {
  void *data;
  struct dlpack_device device;
  int32_t ndim;
  struct dlpack_data_type dtype;
  int64_t *shape;
  int64_t *strides; /* in elements; NULL: compact, row-major */
  uint64_t byte_offset;
};

/* What a capsule named "dltensor" holds. */
struct dlpack_managed {
  struct dlpack_tensor tensor;
  void *manager;
  void (*deleter)(struct dlpack_managed *self);
};

#define DLPACK_READ_ONLY UINT64_C(1)
#define DLPACK_IS_COPIED UINT64_C(2)

/* What a capsule named "dltensor_versioned" holds. */
struct dlpack_managed_versioned {
  struct dlpack_version version;
  void *manager;
  void (*deleter)(struct dlpack_managed_versioned *self);
  uint64_t flags;
  struct dlpack_tensor tensor;
};

struct dlpack_exchange_header {
  struct dlpack_version version;
  struct dlpack_exchange_header *previous; /* an older layout, or NULL */
};

/* The content of the capsule "dlpack_exchange_api", which is the attribute
   __dlpack_c_exchange_api__ of a tensor type. It lives as long as the process. Its functions
   return 0, or -1 with an exception set. */
struct dlpack_exchange_api {
  struct dlpack_exchange_header header;
  void (*managed_tensor_allocator)(void); /* not called here */
  int (*managed_tensor_from_object)(void *object, struct dlpack_managed_versioned **out);
  void (*managed_tensor_to_object)(void); /* not called here */
  /* Lends shape and strides; may be NULL. */
  int (*tensor_from_object)(void *object, struct dlpack_tensor *out);
  int (*current_work_stream)(int32_t device_type, int32_t device_id, void **stream);
};

#endif
