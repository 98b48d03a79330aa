/*
 * struct_size.c: copies between a caller's version of a structure and ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/struct_size.h"

#include <string.h>

static size_t size_of(const void *structure) {
  size_t size = 0;
  memcpy(&size, structure, sizeof size); /* struct_size is the first field */
  return size;
}

udm_status udm_check_struct(const char *what, const void *structure, size_t smallest,
                            struct error *error) {
  if (!structure) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "%s is null", what);
  const size_t size = size_of(structure);
  /* every structure begins with a size_t, so its size is a multiple of that */
  if (size >= smallest && size <= UDM_LARGEST_STRUCT && size % sizeof size == 0) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "%s->struct_size is %zu: set it to the structure's sizeof, as its _INIT does",
                  what, size);
}

void udm_fill_struct(void *structure, const void *ours, size_t size) {
  const size_t theirs = size_of(structure);
  const size_t known = theirs < size ? theirs : size;
  const size_t first = sizeof theirs;
  memcpy((char *)structure + first, (const char *)ours + first, known - first);
  memset((char *)structure + known, 0, theirs - known);
}

udm_status udm_read_struct(const char *what, const void *structure, size_t smallest, void *ours,
                           size_t size, struct error *error) {
  const udm_status status = udm_check_struct(what, structure, smallest, error);
  if (status != UDM_OK) return status;
  const size_t theirs = size_of(structure);
  for (size_t i = size; i < theirs; ++i) {
    if (((const unsigned char *)structure)[i] != 0) {
      return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                      "%s uses a field of a newer udm than this library, %s", what,
                      udm_version_string());
    }
  }
  memcpy(ours, structure, theirs < size ? theirs : size);
  memcpy(ours, &size, sizeof size);
  return UDM_OK;
}
