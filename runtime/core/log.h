/*
 * log.h: one line to the caller's log callback. The library prints nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_LOG_H
#define UDM_RUNTIME_CORE_LOG_H

#include "core/options.h"

void udm_log(const struct settings *settings, udm_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
