/*
 * doctor.h: the findings of udm doctor, as text and as JSON.
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
  udm_options options;              /* with an NVRTC that works, if the first one does not */
  const udm_options *given_options; /* a server's */
  struct text_table table;
  json_t *json;
  json_t *problems;       /* texts */
  int32_t driver_version; /* 0: no driver */
  struct nvrtc_list nvrtcs;
};

void doctor_problem(struct findings *found, const char *text);

/*
 * Finds the image that udm will load on a GPU, why it will load no better one, and what to do about
 * it. Adds them to the table and returns them as JSON. If udm can load none, adds a problem and
 * returns JSON null.
 */
json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch);

#endif
