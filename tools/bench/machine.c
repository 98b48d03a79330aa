/*
 * machine.c: the machine and the date of a run: see machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Takes the first processor's model; most ARM machines have no such line. */
static void find_host_cpu(char *text, size_t size) {
  static const char key[] = "model name";
  char line[512];
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file) return;
  while (!text[0] && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (!colon || strncmp(line, key, sizeof key - 1) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    snprintf(text, size, "%s", colon + 1 + strspn(colon + 1, " "));
  }
  fclose(file);
}

void bench_machine_look(struct bench_machine *machine, const udm_options *options) {
  udm_driver_info driver = {.struct_size = sizeof driver};
  udm_nvrtc_info nvrtc = {.struct_size = sizeof nvrtc};
  const time_t now = time(NULL);
  struct tm utc;
  memset(machine, 0, sizeof *machine);
  if (udm_query_driver(options, &driver) == UDM_OK) {
    snprintf(machine->driver, sizeof machine->driver, "%d.%d", (int)driver.version / 1000,
             (int)driver.version % 1000 / 10);
  }
  if (udm_query_nvrtc(options, &nvrtc) == UDM_OK) {
    snprintf(machine->nvrtc, sizeof machine->nvrtc, "%d.%d", (int)nvrtc.version_major,
             (int)nvrtc.version_minor);
  }
  find_host_cpu(machine->host_cpu, sizeof machine->host_cpu);
  if (gmtime_r(&now, &utc)) {
    strftime(machine->date, sizeof machine->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
  }
}
