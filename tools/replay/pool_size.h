/*
 * How large a replay's KV pool and tables are, from the trace and the options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_POOL_SIZE_H
#define UDM_TOOLS_REPLAY_POOL_SIZE_H

#include "run.h"

/*
 * Fills in what the options leave open. False, with error, when no request of
 * the trace could run or slots would not fit into an int32.
 */
bool replay_pool_size(const struct request_trace *trace, const struct replay_options *options,
                      struct scheduler_options *resolved, char *error, size_t error_size);

#endif
