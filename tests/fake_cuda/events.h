/*
 * Events: the time at which a stream reached them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_EVENTS_H
#define UDM_TESTS_EVENTS_H

#include "driver_functions.h"

/* The stream has reached the event; one that was destroyed meanwhile is left alone. */
void event_complete(CUevent event);

#endif
