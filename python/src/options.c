/*
 * options.c: reads the keyword arguments that Plan and the direct call share.
 * udm checks here what it can say in the caller's words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "options.h"

#include "arguments.h"

/* Sets *out to the index of value among the choices. */
static int choose(const char *argument, PyObject *value, const char *const *choices, int count,
                  const char *rule, int *out) {
  for (int i = 0; PyUnicode_Check(value) && i < count; ++i) {
    if (PyUnicode_CompareWithASCIIString(value, choices[i]) != 0) continue;
    *out = i;
    return 0;
  }
  PyErr_Format(PyExc_ValueError, "%s is %R: it must be %s", argument, value, rule);
  return -1;
}

int bind_extent(struct binding *b, PyObject *extent) {
  static const char *const extents[] = {"row", "batch_max"};
  int chosen = UDM_EXTENT_ROW;
  if (extent && choose("extent", extent, extents, 2, "'row' or 'batch_max'", &chosen) < 0) {
    return -1;
  }
  b->args.extent = (udm_extent)chosen;
  return 0;
}

static int bind_mode(struct binding *b, PyObject *mode) {
  int chosen = UDM_MODE_DECODE;
  if (mode && choose("mode", mode, mode_names, 3, "'decode', 'target_verify' or 'draft_extend'",
                     &chosen) < 0) {
    return -1;
  }
  b->args.mode = (udm_mode)chosen;
  return 0;
}

static int bind_variant(struct binding *b, PyObject *variant) {
  static const char *const variants[] = {"sm90", "sm100"};
  int chosen = 0;
  if (!variant) return 0;
  if (choose("schedule_variant", variant, variants, 2, "'sm90' or 'sm100'", &chosen) < 0) return -1;
  b->args.schedule_variant = chosen == 0 ? UDM_SCHEDULE_SM90 : UDM_SCHEDULE_SM100;
  return 0;
}

static int bind_number(const char *argument, PyObject *value, int32_t minimum, int32_t *out) {
  return value ? argument_int32(argument, value, minimum, out) : 0;
}

static int bind_flag(struct binding *b, PyObject *value, uint32_t flag) {
  const int is_set = value ? PyObject_IsTrue(value) : 0;
  if (is_set > 0) b->args.flags |= flag;
  return is_set < 0 ? -1 : 0;
}

static int bind_extra_name(struct binding *b, PyObject *wanted) {
  int chosen = 0;
  if (choose("extra_outputs has an item that", wanted, extra_attributes, EXTRA_OUTPUTS,
             "'cu_seqlens_q', 'paged_mqa_ctx_lens_2d' or 'paged_mqa_schedule_metadata'",
             &chosen) < 0) {
    return -1;
  }
  b->extra_outputs |= 1U << chosen;
  return 0;
}

static int bind_extra_outputs(struct binding *b, PyObject *names) {
  if (!names) return 0;
  const bool is_list = PyList_Check(names);
  if (!is_list && !PyTuple_Check(names)) {
    PyErr_Format(PyExc_TypeError,
                 "extra_outputs must be a list or a tuple of attribute names, not %R",
                 (PyObject *)Py_TYPE(names));
    return -1;
  }
  const Py_ssize_t count = is_list ? PyList_Size(names) : PyTuple_Size(names);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject *item = is_list ? PyList_GetItem(names, i) : PyTuple_GetItem(names, i);
    if (!item || bind_extra_name(b, item) < 0) return -1;
  }
  return 0;
}

static int raise_value(const char *text) {
  PyErr_SetString(PyExc_ValueError, text);
  return -1;
}

/* How many tokens a request has: one, a fixed number, or as extend_lens says. */
static int check_tokens(const struct binding *b) {
  const udm_decode_args *args = &b->args;
  if (args->mode == UDM_MODE_DECODE) {
    if (args->tokens_per_request > 1) {
      return raise_value("tokens_per_request must be 1 in mode 'decode': choose another mode");
    }
    return b->ragged ? raise_value(
                           "num_tokens is not for mode 'decode', in which every request "
                           "has one token: leave it out, or choose another mode")
                     : 0;
  }
  if (b->ragged == (args->tokens_per_request > 0)) {
    PyErr_Format(PyExc_ValueError,
                 "tokens_per_request %s: mode '%s' needs it, or num_tokens if extend_lens gives a "
                 "number per request",
                 b->ragged ? "and num_tokens are both given" : "is missing",
                 mode_names[args->mode]);
    return -1;
  }
  return 0;
}

static int check_schedule(const struct binding *b) {
  if (!(b->extra_outputs & 1U << EXTRA_SCHEDULE) || b->args.schedule_variant) return 0;
  return raise_value(
      "schedule_variant is missing: paged_mqa_schedule_metadata needs 'sm90' or 'sm100', the rule "
      "of the DeepGEMM that reads it");
}

int bind_scalars(struct binding *b, PyObject *nsa_index_topk, PyObject *real_page_size) {
  udm_decode_args *args = &b->args;
  if (argument_int32("nsa_index_topk", nsa_index_topk, 0, &args->nsa_index_topk) < 0) return -1;
  return argument_int32("real_page_size", real_page_size, 1, &args->real_page_size);
}

static int bind_tokens(struct binding *b, PyObject *per_request, PyObject *num_tokens) {
  udm_decode_args *args = &b->args;
  b->ragged = num_tokens != NULL;
  if (bind_number("tokens_per_request", per_request, 1, &args->tokens_per_request) < 0 ||
      bind_number("num_tokens", num_tokens, 0, &args->num_tokens) < 0) {
    return -1;
  }
  return check_tokens(b);
}

static int bind_given(struct binding *b, PyObject *const given[OPTIONS]) {
  udm_decode_args *args = &b->args;
  if (given[OPTION_MAX_LEN] &&
      argument_int64("max_len", given[OPTION_MAX_LEN], 0, &b->max_len) < 0) {
    return -1;
  }
  if (bind_extent(b, given[OPTION_EXTENT]) < 0 || bind_mode(b, given[OPTION_MODE]) < 0 ||
      bind_tokens(b, given[OPTION_TOKENS_PER_REQUEST], given[OPTION_NUM_TOKENS]) < 0 ||
      bind_number("index_kpool", given[OPTION_INDEX_KPOOL], 1, &args->index_kpool) < 0 ||
      bind_number("schedule_next_n", given[OPTION_SCHEDULE_NEXT_N], 0, &args->schedule_next_n) <
          0 ||
      bind_flag(b, given[OPTION_ROW_PER_REQUEST], UDM_ROW_PER_REQUEST) < 0 ||
      bind_flag(b, given[OPTION_SKIP_PADDING], UDM_SKIP_PADDING) < 0 ||
      bind_flag(b, given[OPTION_CTX_LENS_OF_REQUEST], UDM_CTX_LENS_OF_REQUEST) < 0 ||
      bind_extra_outputs(b, given[OPTION_EXTRA_OUTPUTS]) < 0 ||
      bind_variant(b, given[OPTION_SCHEDULE_VARIANT]) < 0) {
    return -1;
  }
  return check_schedule(b);
}

int bind_options(struct binding *b, PyObject *const values[OPTIONS]) {
  PyObject *given[OPTIONS];
  bool any = false;
  for (int i = 0; i < OPTIONS; ++i) {
    given[i] = values[i] && !Py_IsNone(values[i]) ? values[i] : NULL;
    any |= given[i] != NULL;
  }
  return any ? bind_given(b, given) : 0; /* a plain decode step has none */
}

int bind_offsets(struct binding *b, PyObject *offset) {
  udm_decode_args *args = &b->args;
  if (!offset || Py_IsNone(offset)) return 0;
  const bool is_list = PyList_Check(offset);
  const bool is_sequence = is_list || PyTuple_Check(offset);
  const Py_ssize_t count = is_list ? PyList_Size(offset) : is_sequence ? PyTuple_Size(offset) : 0;
  if (is_sequence && count != args->num_backends) {
    PyErr_Format(PyExc_ValueError,
                 "seqlen_offset has %zd numbers for %d backends: one each, or a "
                 "single number for all",
                 count, (int)args->num_backends);
    return -1;
  }
  for (int i = 0; i < args->num_backends; ++i) {
    PyObject *item = is_list       ? PyList_GetItem(offset, i)
                     : is_sequence ? PyTuple_GetItem(offset, i)
                                   : offset;
    if (!item || argument_int32("seqlen_offset", item, 0, &args->seqlen_offset[i]) < 0) return -1;
    if (args->seqlen_offset[i] && args->mode != UDM_MODE_DECODE) {
      return raise_value("seqlen_offset is only for mode 'decode': leave it out");
    }
  }
  return 0;
}

const char option_doc[] =
    "extent               'row': writes the page table columns of each request's own length;\n"
    "                     'batch_max': in every row as many as the longest request needs\n"
    "max_len              most tokens per request in the page tables; None: as many as\n"
    "                     page_table_1 and req_to_token both have columns for\n"
    "mode                 'decode': one token per request. 'target_verify': n tokens, which\n"
    "                     seq_lens leaves out. 'draft_extend': n tokens, which it includes\n"
    "tokens_per_request   n, the same for every request\n"
    "num_tokens           in place of it, if extend_lens gives a number per request: the tokens\n"
    "                     that the outputs have room for. Those past the sum of extend_lens get\n"
    "                     length 0 and no columns; those past num_tokens are not written\n"
    "index_kpool          k tokens of the KV cache share an index entry: k > 1 cuts whole groups\n"
    "seqlen_offset        added to the lengths, in mode 'decode': a number, or one per backend\n"
    "row_per_request      the page tables have a row per request, not per token\n"
    "skip_padding         requests with seq_lens <= 0 have length 0 and no columns\n"
    "extra_outputs        names of more attributes to write:\n"
    "    cu_seqlens_q                 [>= bs + 1]: prefix sum of the tokens per request\n"
    "    paged_mqa_ctx_lens_2d        [>= tokens], or 2-D with as many elements: context lengths\n"
    "    paged_mqa_schedule_metadata  [SMs + 1, 2]: DeepGEMM's schedule for so many SMs\n"
    "ctx_lens_of_request  paged_mqa_ctx_lens_2d holds the length of the request per token\n"
    "schedule_variant     'sm90' or 'sm100': the rule of the DeepGEMM that reads the schedule. "
    "With\n"
    "                     schedule_next_n 0 SGLang needs 'sm90' on every GPU\n"
    "schedule_next_n      0: the schedule is for a row per token; n: for a row of n per request\n";
