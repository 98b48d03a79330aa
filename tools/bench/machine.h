/*
 * machine.h: the machine and the time of a benchmark run, besides the device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_MACHINE_H
#define UDM_TOOLS_BENCH_MACHINE_H

#include "udm.h"

/* "" is what is not known, or not there. */
struct bench_machine {
  char driver[16];    /* the CUDA of the driver: "13.0" */
  char nvrtc[16];     /* the NVRTC that would compile */
  char host_cpu[128]; /* its model */
  char date[24];      /* of now, UTC: "2026-11-25T09:30:00Z" */
};

void bench_machine_look(struct bench_machine *machine, const udm_options *options);

#endif
