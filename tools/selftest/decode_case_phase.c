/*
 * decode_case_phase.c: draws the mode of a decode case and the other fields behind `backends`, and
 * with them the number of query tokens and the size of every output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_case_draw.h"

#define DRAW_ONE_OF(c, array) \
  (array)[draw_between((c), 0, (int64_t)(sizeof(array) / sizeof((array)[0])) - 1)]

/* n(i), or of a ragged batch the most that a request has. */
static void draw_tokens_per_request(struct decode_case *c, int32_t requested) {
  static const int32_t tokens[] = {1, 2, 3, 4, 4, 5, 6, 7, 8, 17};
  udm_decode_args *args = &c->args;
  if (args->mode == UDM_MODE_DECODE) {
    args->tokens_per_request = draw_chance(c, 50) ? 1 : 0;
    return;
  }
  c->ragged = requested == 0 || (requested < 0 && draw_chance(c, 40));
  c->most_tokens = requested > 0 ? requested : DRAW_ONE_OF(c, tokens);
  if (!c->ragged) args->tokens_per_request = c->most_tokens;
}

static void draw_schedule(struct decode_case *c) {
  static const int32_t sms[] = {1, 2, 3, 5, 78, 132, 148, 300}, next_n[] = {0, 0, 0, 1, 2, 3, 4, 5};
  udm_decode_args *args = &c->args;
  if (draw_chance(c, 40)) return;
  args->num_sms = DRAW_ONE_OF(c, sms);
  args->schedule_variant = draw_chance(c, 50) ? UDM_SCHEDULE_SM90 : UDM_SCHEDULE_SM100;
  args->schedule_next_n = DRAW_ONE_OF(c, next_n);
}

/* Drafts are at step 1, 2, ...; or all backends at the same, or none. */
static void draw_seqlen_offsets(struct decode_case *c) {
  const int64_t style = draw_between(c, 0, 3), same = draw_between(c, 1, 5);
  for (int32_t b = 0; b < UDM_MAX_BACKENDS; ++b) {
    const int64_t styles[] = {0, same, b + 1,
                              draw_chance(c, 5) ? INT32_MAX : draw_between(c, 0, 200)};
    c->args.seqlen_offset[b] = (int32_t)styles[style];
  }
}

void decode_case_draw_phase(struct decode_case *c, const struct decode_case_request *request) {
  static const int32_t kpools[] = {0, 0, 1, 3, 4, 64};
  udm_decode_args *args = &c->args;
  c->decode_only = request->mode == DECODE_CASE_DECODE_ONLY;
  c->most_tokens = 1;
  if (c->decode_only) return;
  args->mode = request->mode < 0 ? (udm_mode)draw_between(c, 0, 2) : (udm_mode)request->mode;
  draw_tokens_per_request(c, request->tokens_per_request);
  args->extend_lens_type = draw_chance(c, 50) ? UDM_INT64 : UDM_INT32;
  args->index_kpool = DRAW_ONE_OF(c, kpools);
  if (draw_chance(c, 30)) args->flags |= UDM_ROW_PER_REQUEST;
  if (draw_chance(c, 50)) args->flags |= UDM_SKIP_PADDING;
  if (draw_chance(c, 50)) args->flags |= UDM_CTX_LENS_OF_REQUEST;
  draw_schedule(c);
}

/* T of a ragged batch: room for all tokens, for fewer, or for more. */
static int64_t draw_num_tokens(struct decode_case *c) {
  const int64_t all = (int64_t)c->args.batch_size * c->most_tokens;
  const int64_t rooms[] = {all, draw_between(c, 0, all), all + draw_between(c, 1, 300), all / 2, 0};
  return draw_chance(c, 95) ? rooms[draw_between(c, 0, 3)] : rooms[4];
}

void decode_case_draw_tokens(struct decode_case *c) {
  udm_decode_args *args = &c->args;
  c->num_tokens = (int64_t)args->batch_size * c->most_tokens;
  if (c->ragged) c->num_tokens = args->num_tokens = (int32_t)draw_num_tokens(c);
  c->table_rows = args->flags & UDM_ROW_PER_REQUEST ? args->batch_size : c->num_tokens;
  if (!c->decode_only && args->mode == UDM_MODE_DECODE) draw_seqlen_offsets(c);
}

int64_t decode_case_elements(const struct decode_case *c, int output) {
  switch (output) {
    case UDM_OUTPUT_CACHE_SEQLENS:
      return c->args.batch_size;
    case UDM_OUTPUT_CU_SEQLENS_K:
    case DECODE_CASE_CU_SEQLENS_Q:
      return (int64_t)c->args.batch_size + 1;
    case UDM_OUTPUT_NSA_CU_SEQLENS_K:
      return c->num_tokens + 1;
    case DECODE_CASE_SCHEDULE:
      return 2 * ((int64_t)c->args.num_sms + 1);
    default:
      return c->num_tokens;
  }
}
