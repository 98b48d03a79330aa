/*
 * struct_size.h: public structures that grow. Each begins with struct_size, its
 * size in the header that the caller was compiled with. An older caller has
 * fewer fields than this library, a newer one more: both are served.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_STRUCT_SIZE_H
#define UDM_RUNTIME_CORE_STRUCT_SIZE_H

#include "core/status.h"

/*
 * The size that a structure has when `field` is its last one. The smallest
 * caller's structure ends with the last field of version 0.1, whatever came
 * after it: never move that name on when a structure grows.
 */
#define UDM_SIZE_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* Larger than any structure will be; a larger struct_size is uninitialised memory. */
enum { UDM_LARGEST_STRUCT = 65536 };

/* INVALID_ARGUMENT unless structure, called `what`, is there and says that it has `smallest` bytes.
 */
udm_status udm_check_struct(const char *what, const void *structure, size_t smallest,
                            struct error *error);

/*
 * Gives a caller's checked structure what `ours`, of `size` bytes, holds: as
 * many fields as it has; those that this library does not know become 0.
 * Its struct_size stays.
 */
void udm_fill_struct(void *structure, const void *ours, size_t size);

/*
 * Reads a caller's structure into `ours`, of `size` bytes, whose defaults stay
 * where the caller has no such field. INVALID_ARGUMENT as of udm_check_struct(),
 * and when a field that this library does not know is used (not 0).
 */
udm_status udm_read_struct(const char *what, const void *structure, size_t smallest, void *ours,
                           size_t size, struct error *error);

#endif
