/*
 * machine.h: the machine and the date of a benchmark run, apart from the GPU.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_MACHINE_H
#define UDM_TOOLS_BENCH_MACHINE_H

#include "udm.h"

/* "": unknown or missing. */
struct bench_machine {
  char driver[16];    /* the driver's CUDA version: "13.0" */
  char nvrtc[16];     /* the version of the NVRTC that compiles */
  char host_cpu[128]; /* its model */
  char date[24];      /* UTC: "2026-11-25T09:30:00Z" */
};

void bench_machine_look(struct bench_machine *machine, const udm_options *options);

#endif
