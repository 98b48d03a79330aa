/*
 * counters.c: the process's counters, their public snapshot, and their text for a scraper.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/counters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/struct_size.h"

struct live_counters udm_live_counters;

udm_status udm_get_cache_counters(udm_cache_counters *counters) {
  struct error *const error = udm_thread_error();
  udm_cache_counters now = {.struct_size = sizeof now};
  const udm_status status = udm_check_struct(
      "counters", counters, UDM_SIZE_UP_TO(udm_cache_counters, hits_writable), error);
  if (status != UDM_OK) return status;
#define UDM_SNAPSHOT(name, text) \
  now.name = atomic_load_explicit(&udm_live_counters.name, memory_order_relaxed);
  UDM_CACHE_COUNTER_TABLE(UDM_SNAPSHOT)
#undef UDM_SNAPSHOT
  udm_fill_struct(counters, &now, sizeof now);
  return UDM_OK;
}

/* A process has few different images; the last row counts the rest. */
enum { MOST_IMAGES = 32, LABEL_SIZE = 128 };

struct image_count {
  int32_t device_arch;
  int32_t image_arch;
  char source[24];
  char producer[LABEL_SIZE];
  uint64_t count;
};

static pthread_mutex_t images_lock = PTHREAD_MUTEX_INITIALIZER;
static struct image_count images[MOST_IMAGES + 1];

void udm_count_image(int32_t device_arch, int32_t image_arch, const char *source,
                     const char *producer) {
  struct image_count wanted = {device_arch, image_arch, "", "", 0};
  snprintf(wanted.source, sizeof wanted.source, "%s", source);
  snprintf(wanted.producer, sizeof wanted.producer, "%s", producer);
  pthread_mutex_lock(&images_lock);
  int row = 0;
  for (; row < MOST_IMAGES && images[row].count > 0; ++row) {
    const struct image_count *other = &images[row];
    if (other->device_arch == device_arch && other->image_arch == image_arch &&
        strcmp(other->source, wanted.source) == 0 &&
        strcmp(other->producer, wanted.producer) == 0) {
      break;
    }
  }
  if (row == MOST_IMAGES) wanted = (struct image_count){0, 0, "other", "", 0};
  wanted.count = images[row].count + 1;
  images[row] = wanted;
  pthread_mutex_unlock(&images_lock);
}

/* Text that is cut to its buffer, as by snprintf(), and its whole length. */
struct exposition {
  char *text;
  size_t size;
  size_t length;
};

__attribute__((format(printf, 2, 3))) static void write_text(struct exposition *to,
                                                             const char *format, ...) {
  va_list arguments;
  const size_t used = to->length < to->size ? to->length : to->size;
  va_start(arguments, format);
  const int length =
      vsnprintf(used < to->size ? to->text + used : NULL, to->size - used, format, arguments);
  va_end(arguments);
  if (length > 0) to->length += (size_t)length;
}

static void write_head(struct exposition *to, const char *name, const char *type,
                       const char *help) {
  write_text(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The format escapes three characters within the quotes of a label. */
static void write_label(struct exposition *to, const char *name, const char *value) {
  write_text(to, "%s=\"", name);
  for (; *value; ++value) {
    if (*value == '\n') {
      write_text(to, "\\n");
    } else {
      write_text(to, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    }
  }
  write_text(to, "\"");
}

static void write_images(struct exposition *to) {
  write_head(to, "udm_images_loaded_total", "counter", "kernel images that udm_create() loaded");
  pthread_mutex_lock(&images_lock);
  for (int row = 0; row <= MOST_IMAGES; ++row) {
    const struct image_count *image = &images[row];
    if (image->count == 0) continue;
    write_text(to, "udm_images_loaded_total{device_arch=\"sm_%d\",image_arch=\"sm_%d\",",
               (int)image->device_arch, (int)image->image_arch);
    write_label(to, "source", image->source);
    write_text(to, ",");
    write_label(to, "producer", image->producer);
    write_text(to, "} %" PRIu64 "\n", image->count);
  }
  pthread_mutex_unlock(&images_lock);
}

udm_status udm_get_metrics(char *text, size_t size, size_t *length) {
  struct error *const error = udm_thread_error();
  udm_cache_counters now = {.struct_size = sizeof now};
  struct exposition to = {text, size, 0};
  if (!length) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "length is null");
  if (!text && size) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "text is null");
  udm_get_cache_counters(&now);
  write_head(&to, "udm_build_info", "gauge", "version of the library");
  write_text(&to, "udm_build_info{version=\"%s\"} 1\n", udm_version_string());
#define WRITE_COUNTER(name, meaning)                                \
  write_head(&to, "udm_cache_" #name "_total", "counter", meaning); \
  write_text(&to, "udm_cache_" #name "_total %" PRIu64 "\n", now.name);
  UDM_CACHE_COUNTER_TABLE(WRITE_COUNTER)
#undef WRITE_COUNTER
  write_images(&to);
  *length = to.length;
  return UDM_OK;
}
