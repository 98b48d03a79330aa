/*
 * trace_json.c: one line of JSON lines: an object. The two token counts alone are read; the
 * rest is only passed over, string by string and bracket by bracket, because a trace's other
 * fields may hold what no parser's types do: unsigned 64-bit hashes, NaN, half a surrogate
 * pair, a million elements.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "trace_formats.h"

enum { MOST_DEPTH = 512 };

/* A place in the line and, if at is NULL, what is wrong there. */
struct json_cursor {
  const char *at;
  const char *fault;
  const char *fault_at;
};

struct json_value {
  const char *text; /* NULL: not there */
  size_t length;
};

/* What an object says that matters here. */
struct json_members {
  struct json_value inputs[TRACE_NAMES];
  struct json_value outputs[TRACE_NAMES];
  struct json_value usage;
  bool has_texts;  /* prompts or conversations */
  bool has_totals; /* sums over the requests of a benchmark */
};

static bool fail(struct json_cursor *cursor, const char *fault) {
  cursor->fault = fault;
  cursor->fault_at = cursor->at;
  return false;
}

static void skip_space(struct json_cursor *cursor) { cursor->at += strspn(cursor->at, " \t\r\n"); }

static bool skip_string(struct json_cursor *cursor) {
  const char *at = cursor->at + 1;
  while (*at && *at != '"') at += at[0] == '\\' && at[1] ? 2 : 1;
  if (!*at) return fail(cursor, "a string that does not end");
  cursor->at = at + 1;
  return true;
}

/* A number, a string, or a word: true, null, NaN. */
static bool skip_scalar(struct json_cursor *cursor) {
  if (*cursor->at == '"') return skip_string(cursor);
  const size_t length = strcspn(cursor->at, " \t\r\n,:[]{}\"");
  if (length == 0) return fail(cursor, *cursor->at ? "a value is missing" : "an end too early");
  cursor->at += length;
  return true;
}

static bool skip_value(struct json_cursor *cursor) {
  char closing[MOST_DEPTH]; /* of the brackets that are open */
  int depth = 0;
  do {
    skip_space(cursor);
    const char c = *cursor->at;
    if (c == '{' || c == '[') {
      if (depth == MOST_DEPTH) return fail(cursor, "brackets in more than 512 levels");
      closing[depth++] = c == '{' ? '}' : ']';
      ++cursor->at;
    } else if (depth > 0 && (c == '}' || c == ']')) {
      if (c != closing[--depth]) return fail(cursor, "the wrong closing bracket");
      ++cursor->at;
    } else if (depth > 0 && (c == ',' || c == ':')) {
      ++cursor->at;
    } else if (!skip_scalar(cursor)) {
      return false;
    }
  } while (depth > 0);
  return true;
}

static bool is_key(const struct json_value *key, const char *name) {
  return key->length == strlen(name) && memcmp(key->text, name, key->length) == 0;
}

static void take_member(struct json_members *members, const struct json_value *key,
                        struct json_value value) {
  for (int i = 0; i < TRACE_NAMES; ++i) {
    if (is_key(key, trace_names[i].input)) members->inputs[i] = value;
    if (is_key(key, trace_names[i].output)) members->outputs[i] = value;
  }
  if (is_key(key, "usage") && value.text[0] == '{') members->usage = value;
  if (is_key(key, "conversations") || is_key(key, "messages") || is_key(key, "prompt")) {
    members->has_texts = true;
  }
  if (is_key(key, "total_input_tokens")) members->has_totals = true;
}

/* Reads "key": value. */
static bool read_member(struct json_cursor *cursor, struct json_members *members) {
  if (*cursor->at != '"')
    return fail(cursor, *cursor->at ? "no name of a field" : "an end too early");
  struct json_value key = {cursor->at + 1, 0};
  if (!skip_string(cursor)) return false;
  key.length = (size_t)(cursor->at - key.text) - 1;
  skip_space(cursor);
  if (*cursor->at != ':') return fail(cursor, "no colon behind the name of a field");
  ++cursor->at;
  skip_space(cursor);
  struct json_value value = {cursor->at, 0};
  if (!skip_value(cursor)) return false;
  value.length = (size_t)(cursor->at - value.text);
  take_member(members, &key, value);
  return true;
}

/* Reads an object; the cursor stands at its brace. */
static bool read_object(struct json_cursor *cursor, struct json_members *members) {
  ++cursor->at;
  skip_space(cursor);
  if (*cursor->at == '}') {
    ++cursor->at;
    return true;
  }
  for (;;) {
    if (!read_member(cursor, members)) return false;
    skip_space(cursor);
    const char c = *cursor->at;
    if (c != ',' && c != '}') return fail(cursor, c ? "no comma" : "an end too early");
    ++cursor->at;
    if (c == '}') return true;
    skip_space(cursor);
  }
}

/* The next number of a list; false at its end, and, with a fault, if there is none. */
static bool next_of_list(struct trace_reading *reading, const char *name, const char **at,
                         int64_t *number) {
  *at += strspn(*at, " \t");
  if (**at == ']') return false;
  const size_t length = strcspn(*at, ", \t]");
  if (!trace_number(reading, name, *at, length, number)) return false;
  *at += length;
  *at += strspn(*at, " \t");
  if (**at == ',') {
    ++*at;
  } else if (**at != ']') {
    return trace_fault(reading, "%s is no list of numbers: correct or remove the line", name);
  }
  return true;
}

/* The requests of a whole benchmark on one line. */
static bool add_lists(struct trace_reading *reading, const struct trace_names *names,
                      const char *inputs, const char *outputs) {
  int64_t input = 0;
  int64_t output = 0;
  ++inputs; /* past the bracket */
  ++outputs;
  for (;;) {
    const bool has_input = next_of_list(reading, names->input, &inputs, &input);
    if (reading->fault[0]) return false;
    const bool has_output = next_of_list(reading, names->output, &outputs, &output);
    if (reading->fault[0]) return false;
    if (has_input != has_output) {
      return trace_fault(reading, "%s and %s have different lengths: correct or remove the line",
                         names->input, names->output);
    }
    if (!has_input) return true;
    if (!trace_add(reading, input, output)) return false;
  }
}

static bool add_members(struct trace_reading *reading, const struct trace_names *names,
                        const struct json_value *input, const struct json_value *output) {
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  if (!input->text || !output->text) {
    return trace_fault(reading, "%s is missing: correct or remove the line",
                       input->text ? names->output : names->input);
  }
  if (input->text[0] == '[' && output->text[0] == '[') {
    return add_lists(reading, names, input->text, output->text);
  }
  return trace_number(reading, names->input, input->text, input->length, &input_tokens) &&
         trace_number(reading, names->output, output->text, output->length, &output_tokens) &&
         trace_add(reading, input_tokens, output_tokens);
}

/* The names that the object has, both or at least one of them; -1: none. */
static int find_names(const struct json_members *members) {
  int half = -1;
  for (int i = 0; i < TRACE_NAMES; ++i) {
    if (members->inputs[i].text && members->outputs[i].text) return i;
    if (half < 0 && (members->inputs[i].text || members->outputs[i].text)) half = i;
  }
  return half;
}

static bool no_counts(struct trace_reading *reading, const struct json_members *members) {
  if (members->has_totals) {
    return trace_fault(reading,
                       "the totals of a benchmark, without input_lens and output_lens: let it "
                       "write every request, with --save-detailed (vLLM) or --output-details "
                       "(SGLang)");
  }
  if (members->has_texts) {
    return trace_fault(
        reading,
        "texts, and no token counts: count them with the model's tokenizer and "
        "write one line per request, {\"input_length\": 547, \"output_length\": 248}");
  }
  return trace_fault(reading,
                     "no token counts: call the fields input_length and output_length; 'udm replay "
                     "--help' lists what else is read");
}

bool trace_json_line(struct trace_reading *reading, const char *line) {
  struct json_cursor cursor = {line, NULL, NULL};
  struct json_members members;
  memset(&members, 0, sizeof members);
  bool good = *line == '{' ? read_object(&cursor, &members) : fail(&cursor, "no object");
  if (good) skip_space(&cursor);
  if (good && *cursor.at) good = fail(&cursor, "something behind the object");
  if (!good) {
    return trace_fault(
        reading,
        "not one JSON object (%s, column %zu): the line is truncated or damaged, or "
        "the object spans lines ('jq -c . FILE' puts each on one); correct or remove "
        "it",
        cursor.fault, (size_t)(cursor.fault_at - line) + 1);
  }
  int names = find_names(&members);
  if (names < 0 && members.usage.text) {
    cursor.at = members.usage.text;
    read_object(&cursor, &members); /* the counts of a reply of OpenAI's interface */
    names = find_names(&members);
  }
  if (names < 0) return no_counts(reading, &members);
  return add_members(reading, &trace_names[names], &members.inputs[names], &members.outputs[names]);
}
