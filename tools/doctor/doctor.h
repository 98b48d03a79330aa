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

/* What UDM_NO_COMPILE allows. */
enum mode { MODE_MAY_COMPILE, MODE_NO_COMPILE, MODE_CACHED_ONLY };

struct findings {
  udm_options options;              /* a server's, but without an NVRTC that would kill doctor */
  udm_options plan_options;         /* with the first NVRTC that compiles: a plan cannot know */
  const udm_options *given_options; /* a server's */
  bool no_nvrtc_compiles;           /* there are some, which open */
  bool load;                        /* each GPU's image, to prove that the driver takes it */
  enum mode mode;
  struct text_table table;
  json_t *json;
  json_t *problems;       /* texts */
  int32_t driver_version; /* 0: no driver */
  struct nvrtc_list nvrtcs;
};

void doctor_problem(struct findings *found, const char *text);

/*
 * Finds the image that udm will load on a GPU, and loads it if the findings say so; why it will
 * load no better one, and what to do about it. Adds them to the table and returns them as JSON. If
 * udm can load none, adds a problem and returns JSON null.
 */
json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch);

/* Without a GPU: what each image source has for the GPUs of other machines. */
void doctor_sources(struct findings *found);

#endif
