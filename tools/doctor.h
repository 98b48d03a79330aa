/*
 * udm doctor: what it has found so far, for people and for programs, filled
 * side by side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_DOCTOR_H
#define UDM_TOOLS_DOCTOR_H

#include "nvrtc_list.h"
#include "output.h"
#include "table.h"
#include "udm.h"

typedef struct findings {
  const udm_options *options;
  text_table table;
  json_t *json;
  json_t *problems;       /* texts */
  int32_t driver_version; /* 0: there is no driver */
  nvrtc_list nvrtcs;
} findings;

void doctor_problem(findings *found, const char *text);

/*
 * The image that will serve a GPU, why no better one will, and what to do about
 * it; as JSON too: null, and a problem, when none will.
 */
json_t *doctor_image(findings *found, int32_t ordinal, int32_t arch);

#endif /* UDM_TOOLS_DOCTOR_H */
