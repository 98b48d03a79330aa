/*
 * nvrtc_list.h: every NVRTC that the library finds on this machine, and every candidate that it
 * cannot use, with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NVRTC_NVRTC_LIST_H
#define UDM_TOOLS_NVRTC_NVRTC_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

struct nvrtc_found {
  char *library;       /* the file, or the name that the user gave */
  char *reason;        /* why udm cannot use it; "" if it can; NULL if there is no memory */
  bool opens;          /* the library opens it, or the process that tried it died */
  bool kills;          /* the reason: the process died that tried it */
  udm_nvrtc_info info; /* only if udm can use it */
};

struct nvrtc_list {
  int32_t count;
  struct nvrtc_found *items; /* in the order of the search */
};

/*
 * Tries each NVRTC in a child process: call it before any thread is started. UDM_OK even if there
 * is no NVRTC.
 */
udm_status nvrtc_list_make(const udm_options *options, struct nvrtc_list *list);
void nvrtc_list_free(struct nvrtc_list *list);

bool nvrtc_is_usable(const struct nvrtc_found *found);

/* The first usable one, with which udm compiles; NULL if there is none. */
const struct nvrtc_found *nvrtc_list_first(const struct nvrtc_list *list);

/*
 * The one that kills the process in which the library looks for the first usable one; NULL if none
 * does.
 */
const struct nvrtc_found *nvrtc_list_killer(const struct nvrtc_list *list);

bool nvrtc_knows(const struct nvrtc_found *found, int32_t arch);

/*
 * The newest NVRTC that knows the architecture (0: any) and whose CUDA major version is at most
 * newest_major (0: any). NULL if there is none.
 */
const struct nvrtc_found *nvrtc_list_newest(const struct nvrtc_list *list, int32_t arch,
                                            int32_t newest_major);

/*
 * The Python package with an NVRTC that knows the architecture and is no newer than the driver's
 * CUDA (13000; 0: any). NULL if none is both.
 */
const char *nvrtc_package(int32_t arch, int32_t driver_version);

/* "13.0" */
void nvrtc_version_text(const struct nvrtc_found *found, char text[32]);

#endif
