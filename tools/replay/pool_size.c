/*
 * How large a replay's KV pool and tables are: see pool_size.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pool_size.h"

#include <stdio.h>

static int32_t total_tokens(const struct trace_request *request) {
  return request->input_length + request->output_length;
}

/* Pages of max_batch average requests, and of the longest alone. */
static int64_t plausible_pages(const struct request_trace *trace,
                               const struct scheduler_options *options) {
  int64_t sum = 0;
  int64_t count = 0;
  int64_t longest = 1;
  for (size_t i = 0; i < trace->count; ++i) {
    const int32_t total = total_tokens(&trace->requests[i]);
    if (total > options->max_context) continue;
    const int64_t pages = pages_for(total, options->page_size);
    if (pages > longest) longest = pages;
    sum += pages;
    ++count;
  }
  const int64_t average = count ? (sum + count - 1) / count : 0;
  const int64_t pages = average * options->max_batch;
  return pages > longest ? pages : longest;
}

static bool any_request_runs(const struct request_trace *trace,
                             const struct scheduler_options *options) {
  for (size_t i = 0; i < trace->count; ++i) {
    const struct trace_request *request = &trace->requests[i];
    if (request->output_length > 0 && scheduler_accepts(options, request)) return true;
  }
  return false;
}

bool replay_pool_size(const struct request_trace *trace, const struct replay_options *options,
                      struct scheduler_options *resolved, char *error, size_t error_size) {
  const int64_t page_size = options->page_size;
  *resolved = (struct scheduler_options){
      .max_batch = options->max_batch,
      .max_context = options->max_context,
      .page_size = options->page_size,
      .draft_tokens = options->draft_tokens,
      .seed = options->seed,
      .loop = options->steps > 0,
  };
  if (resolved->max_context == 0) {
    const int64_t rounded = pages_for(trace_longest(trace), options->page_size) * page_size;
    resolved->max_context =
        rounded > INT32_MAX - page_size ? INT32_MAX - (int32_t)page_size : (int32_t)rounded;
  }
  const int64_t pages =
      options->pool_tokens ? options->pool_tokens / page_size : plausible_pages(trace, resolved);
  /* the slots of page `pages` are the largest: page 0 is nobody's */
  if ((pages + 1) * page_size > INT32_MAX) {
    snprintf(error, error_size,
             "a KV pool of %lld pages of %lld tokens has slots past INT32_MAX: lower --max-batch, "
             "--max-context, --pool-tokens or --page-size",
             (long long)pages, (long long)page_size);
    return false;
  }
  resolved->pool_pages = (int32_t)pages;
  if (pages > 0 && any_request_runs(trace, resolved)) return true;
  snprintf(error, error_size,
           "no request of the trace can run: each is longer than --max-context %d or than the KV "
           "pool of %lld tokens, or has no output; raise --max-context and --pool-tokens",
           resolved->max_context, (long long)(pages * page_size));
  return false;
}
