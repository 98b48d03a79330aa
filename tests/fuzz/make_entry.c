/*
 * make_entry.c: writes a small whole entry to standard output, for make_corpus.py:
 * make_entry ARCH ABI_VERSION PRODUCER. Its kernel source is none that any udm
 * has, so it is stale for every one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "cache_entry.h"
#include "tiny_cubin.h"

int main(int argc, char **argv) {
  char label[32];
  char material[UDM_CACHE_TEXT_SIZE];
  unsigned char *bytes = NULL;
  size_t size = 0;
  if (argc != 4) return 2;
  const int arch = atoi(argv[1]);
  const tiny_cubin cubin = tiny_cubin_make(atoi(argv[2]), arch, "a_kernel_of_the_corpus");
  snprintf(label, sizeof label, "sm_%d", arch);
  snprintf(material, sizeof material,
           "udm cubin, format %u\nsource none\noptions none\ntarget sm_%d\n", UDM_CACHE_FORMAT,
           arch);
  const struct cache_key key = {label, material, argv[3]};
  if (udm_cache_entry_encode(&key, &cubin, sizeof cubin, &bytes, &size) != UDM_OK) return 1;
  const bool written = fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0;
  free(bytes);
  return written ? 0 : 1;
}
