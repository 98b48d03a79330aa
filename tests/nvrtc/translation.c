/*
 * translation.c: writes a catalogue of messages (.mo) and has the C library use it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "translation.h"

#include <libintl.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "temporary_folder.h"

enum { MAGIC_WORDS = 7, CATALOGUE_SIZE = 4096 };

/* The tables of lengths and offsets, of all originals and then of all translations. */
static uint32_t put_text(unsigned char *catalogue, uint32_t entry, uint32_t used,
                         const char *text) {
  const uint32_t table[2] = {(uint32_t)strlen(text), used};
  memcpy(catalogue + entry, table, sizeof table);
  if (used + table[0] + 1 > CATALOGUE_SIZE) abort();
  memcpy(catalogue + used, text, table[0] + 1);
  return used + table[0] + 1;
}

static void write_catalogue(const char *path, const struct translated *texts, uint32_t count) {
  unsigned char catalogue[CATALOGUE_SIZE];
  const uint32_t originals = MAGIC_WORDS * sizeof(uint32_t);
  const uint32_t translations = originals + count * 2 * (uint32_t)sizeof(uint32_t);
  uint32_t used = translations + count * 2 * (uint32_t)sizeof(uint32_t);
  /* magic number, revision, how many, where; no hash table */
  const uint32_t head[MAGIC_WORDS] = {0x950412de, 0, count, originals, translations, 0, used};
  memset(catalogue, 0, sizeof catalogue);
  memcpy(catalogue, head, sizeof head);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t entry = i * 2 * (uint32_t)sizeof(uint32_t);
    used = put_text(catalogue, originals + entry, used, texts[i].english);
    used = put_text(catalogue, translations + entry, used, texts[i].foreign);
  }
  write_file(path, catalogue, used);
}

bool speak_foreign(const char *folder, const struct translated *texts, int count) {
  write_catalogue(path_in(folder, "xx/LC_MESSAGES/libc.mo"), texts, (uint32_t)count);
  setenv("LANGUAGE", "xx", 1);
  if (!setlocale(LC_ALL, "C.UTF-8")) return false;
  bindtextdomain("libc", folder);
  return true;
}

void speak_english(void) {
  unsetenv("LANGUAGE");
  setlocale(LC_ALL, "C");
}
