/*
 * assemble.h: PTX turned into a cubin by the driver, for the current context's
 * device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_ASSEMBLE_H
#define UDM_RUNTIME_IMAGE_ASSEMBLE_H

#include "driver/driver.h"

/* Whether this driver can hand out the cubin that it makes. */
bool udm_can_assemble(const struct driver *driver);

/*
 * ptx      text, 0-terminated.
 * origin   where it is from, for people.
 *
 * The caller frees *cubin. NO_IMAGE when the driver does not take this PTX,
 * with its log; the other statuses are those of loading.
 */
udm_status udm_assemble(const struct driver *driver, const char *ptx, const char *origin,
                        unsigned char **cubin, size_t *size);

#endif
