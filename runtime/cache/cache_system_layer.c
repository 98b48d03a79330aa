/*
 * cache_system_layer.c: finds the layer that is installed with the library, from the place of the
 * file that holds this code: libudm.so, a program, or a module of another language. So an
 * installed tree can be moved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "cache/cache.h"

/* Where the layer lies, from the folder of a library and from that of a program. */
static const char from_library[] = UDM_SYSTEM_LAYER_FROM_LIBRARY;
static const char from_program[] = UDM_SYSTEM_LAYER_FROM_PROGRAM;

_Static_assert(UDM_PATH_SIZE >= PATH_MAX, "realpath() writes up to PATH_MAX bytes");

/* The file that holds this code. What dladdr() says of a program is its argv[0]. */
static bool find_own_file(char path[UDM_PATH_SIZE], bool *is_program) {
  Dl_info own;
  Dl_info program;
  if (dladdr(from_library, &own) == 0 || !own.dli_fname) return false;
  /* the system gives the address of the program's headers as an integer */
  const void *headers = (const void *)(uintptr_t)getauxval(AT_PHDR);
  *is_program = dladdr(headers, &program) != 0 && program.dli_fbase == own.dli_fbase;
  if (*is_program) return realpath("/proc/self/exe", path) != NULL;
  /* a relative one would be wrong after a chdir() */
  return own.dli_fname[0] == '/' && realpath(own.dli_fname, path) != NULL;
}

/* Replaces the last part of a path without "..", which is a file, by the relative path. */
static bool replace_file(char path[UDM_PATH_SIZE], const char *relative) {
  char *end = strrchr(path, '/');
  for (; end && strncmp(relative, "../", 3) == 0; relative += 3) {
    *end = '\0';
    end = strrchr(path, '/');
  }
  if (!end) return false;
  const size_t room = UDM_PATH_SIZE - (size_t)(end + 1 - path);
  return (size_t)snprintf(end + 1, room, "%s", relative) < room;
}

bool udm_cache_system_layer(char path[UDM_PATH_SIZE], struct stat *library) {
  struct stat layer;
  bool is_program = false;
  if (!find_own_file(path, &is_program) || stat(path, library) != 0) return false;
  return replace_file(path, is_program ? from_program : from_library) && lstat(path, &layer) == 0;
}
