/*
 * doctor.h: what udm doctor has found so far, as text and as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_DOCTOR_DOCTOR_H
#define UDM_TOOLS_DOCTOR_DOCTOR_H

#include "command/output.h"
#include "command/text_table.h"
#include "nvrtc/nvrtc_list.h"
#include "udm.h"

struct findings {
  const udm_options *options;
  struct text_table table;
  json_t *json;
  json_t *problems;       /* texts */
  int32_t driver_version; /* 0: there is no driver */
  nvrtc_list nvrtcs;
};

void doctor_problem(struct findings *found, const char *text);

/*
 * The image that will serve a GPU, why no better one will, and what to do about
 * it; as JSON too: null, and a problem, when none will.
 */
json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch);

#endif
