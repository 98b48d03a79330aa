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
 * The size of a structure whose last field is `field`. The smallest structure that a caller may
 * pass ends with the last field of version 0.1: never replace that name when a structure grows.
 */
#define UDM_SIZE_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* No structure will be larger: a larger struct_size is uninitialised memory. */
enum { UDM_LARGEST_STRUCT = 65536 };

/*
 * Returns INVALID_ARGUMENT unless the structure is not NULL and its struct_size is at least
 * `smallest`. `what` is its name in messages.
 */
udm_status udm_check_struct(const char *what, const void *structure, size_t smallest,
                            struct error *error);

/*
 * Fills a caller's checked structure from `ours`, of `size` bytes: as many fields as the caller
 * has. Fields that this library does not know become 0. The struct_size stays.
 */
void udm_fill_struct(void *structure, const void *ours, size_t size);

/*
 * Reads a caller's structure into `ours`, of `size` bytes. Fields that the caller does not have
 * keep their defaults. Returns INVALID_ARGUMENT for the reasons of udm_check_struct(), or if a
 * field that this library does not know is not 0.
 */
udm_status udm_read_struct(const char *what, const void *structure, size_t smallest, void *ours,
                           size_t size, struct error *error);

#endif
