/*
 * nvrtc_list.h: every NVRTC that the library finds on this machine, and everything that it
 * takes for one and cannot use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NVRTC_NVRTC_LIST_H
#define UDM_TOOLS_NVRTC_NVRTC_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

typedef struct nvrtc_found {
  char *library;       /* as it was looked for */
  char *reason;        /* why it cannot be used; "" when it can */
  udm_nvrtc_info info; /* when it can */
} nvrtc_found;

typedef struct nvrtc_list {
  int32_t count;
  nvrtc_found *items; /* in the order of the search */
} nvrtc_list;

/* UDM_OK also when there is none. */
udm_status nvrtc_list_make(const udm_options *options, nvrtc_list *list);
void nvrtc_list_free(nvrtc_list *list);

bool nvrtc_is_usable(const nvrtc_found *found);

/* The first of the search: the one that serves. NULL: there is none. */
const nvrtc_found *nvrtc_list_first(const nvrtc_list *list);

bool nvrtc_knows(const nvrtc_found *found, int32_t arch);

/*
 * The newest NVRTC that knows the architecture, among CUDA major versions up to
 * newest_major (0: any) if one of them does, else among all. NULL: none knows it.
 */
const nvrtc_found *nvrtc_list_newest(const nvrtc_list *list, int32_t arch, int32_t newest_major);

/* "13.0" */
void nvrtc_version_text(const nvrtc_found *found, char text[32]);

#endif
