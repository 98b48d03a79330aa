/*
 * image_resolve.h: from the architecture of a device to an image that its driver
 * can load. The caller pulls one image after another, best first:
 *
 *     status = udm_image_search_begin(settings, arch, driver, &search, error);
 *     if (status != UDM_OK) return status;
 *     while ((status = udm_image_search_next(search, error)) == UDM_OK) {
 *       status = load search->image, with &search->reason as its error;
 *       if (status == UDM_OK) { udm_image_search_accept(search); break; }
 *       if (status != UDM_ERROR_NO_IMAGE) break;   // no other image would load either
 *       udm_image_search_reject(search);
 *     }
 *     udm_image_search_end(search);
 *
 * Without a driver the walk is a plan: nothing is built, locked, removed or written,
 * and the first image is the one that would be loaded first. If the caller then
 * sets search->driver_version, images that such a driver cannot read are passed over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_IMAGE_RESOLVE_H
#define UDM_RUNTIME_IMAGE_IMAGE_RESOLVE_H

#include "image/image_sources.h"

/* NO_IMAGE for an architecture below UDM_LOWEST_ARCH. */
udm_status udm_image_search_begin(const struct settings *settings, int32_t device_arch,
                                  const struct driver *driver, struct image_search **search,
                                  struct error *error);

/*
 * Puts the next image into search->image. Returns NO_IMAGE, with the reason of
 * every source, after the last image; OUT_OF_MEMORY, DRIVER, CAPTURE or CANCELLED
 * for a failure that the next image would meet too.
 */
udm_status udm_image_search_next(struct image_search *search, struct error *error);

/* The image is used: records the use of a cached one, stores a built one. */
void udm_image_search_accept(struct image_search *search);

/* Goes on to the next source: a plan that asks what else would serve. */
void udm_image_search_leave_source(struct image_search *search);

/* The driver cannot use the image; search->reason says why. Its cache entry stays. */
void udm_image_search_reject(struct image_search *search);

#define UDM_ADVICE_SIZE 768

/*
 * Says how the device of a walk that has ended gets the best image: NVRTC's cubin for its own
 * architecture. "" if it has it. The image of the walk is the one that serves; its source is NONE
 * if none does.
 */
void udm_image_advise(const struct image_search *search, char advice[UDM_ADVICE_SIZE]);

/* "a cubin of NVRTC", "assembled from the shipped PTX" */
const char *udm_kernel_maker_text(enum kernel_maker maker);

/* Frees the walk. NULL is allowed. */
void udm_image_search_end(struct image_search *search);

#endif
