/*
 * expectation.c: creates a context on a machine and compares what served it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "expectation.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static void check_reported(const struct image_fixture *l, const struct expectation *e) {
  for (int i = 0; i < 4 && e->reported[i]; ++i) {
    if (!strstr(l->log, e->reported[i]) && !strstr(udm_last_error(), e->reported[i])) {
      fail_msg("%s: neither the log nor the error says '%s':\n%s\n%s", e->title, e->reported[i],
               l->log, udm_last_error());
    }
  }
}

void expectation_check(struct image_fixture *l, const struct expectation *e) {
  udm_context_info info;
  machine_set(l, &e->machine);
  const udm_status status = create_once(l, e->arch, &info);
  const udm_status wanted = e->source == UDM_IMAGE_NONE ? UDM_ERROR_NO_IMAGE : UDM_OK;
  if (status != wanted) {
    fail_msg("%s: %s: %s", e->title, udm_status_name(status), udm_last_error());
  }
  if (info.image_source != e->source || info.image_arch != e->image_arch) {
    fail_msg("%s: served by %s (sm_%d), want %s (sm_%d):\n%s", e->title,
             udm_image_source_name(info.image_source), (int)info.image_arch,
             udm_image_source_name(e->source), e->image_arch, l->log);
  }
  check_reported(l, e);
  assert_int_equal(l->left_behind, 0);
}

void cache_empty(struct image_fixture *l) {
  DIR *listing = opendir(l->folder);
  assert_non_null(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    if (strstr(entry->d_name, ".cubin")) {
      assert_int_equal(unlinkat(dirfd(listing), entry->d_name, 0), 0);
    }
  }
  closedir(listing);
}

void expectation_check_cached(struct image_fixture *l, const struct expectation *e) {
  udm_context_info info;
  struct machine without = e->machine;
  without.nvrtc = NULL;
  machine_set(l, &without);
  assert_int_equal(create_once(l, e->arch, &info), UDM_OK);
  if (info.image_source != UDM_IMAGE_CACHE) {
    fail_msg("%s: the second time served by %s", e->title,
             udm_image_source_name(info.image_source));
  }
  assert_int_equal(info.image_arch, e->image_arch);
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
}

void expectation_check_all(struct image_fixture *l, const struct expectation *all, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    expectation_check(l, &all[i]);
    const bool cached = all[i].source != UDM_IMAGE_NONE && !all[i].machine.driver_fails &&
                        !all[i].machine.driver_lacks;
    if (cached) expectation_check_cached(l, &all[i]);
    cache_empty(l);
  }
}
