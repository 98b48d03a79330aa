/*
 * cache.c: udm cache: its help, its command line and its subcommands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "command/output.h"
#include "subcommand.h"

static const char help_text[] =
    "usage: udm cache ACTION [OPTION...]\n"
    "\n"
    "look\n"
    "  path              print the folder of the writable cache\n"
    "  list              list every entry of every layer: architecture, size, state, compiler,\n"
    "                    time of last use, path\n"
    "  verify            read and check every entry and name each damage; exit 1 if any is found\n"
    "keep the writable cache small\n"
    "  prune             remove damaged entries, leftovers of killed processes, entries that the\n"
    "                    options select, and the least recently used entries over the limit\n"
    "    --older-than AGE  remove entries last used longer ago: 30d, 12h, 45m, 90s; 30 is 30 days\n"
    "    --keep-arch LIST  remove entries for all other architectures: sm_80,sm_90\n"
    "    --max-bytes N     size limit: 64M, 1G (default UDM_CACHE_MAX_BYTES, else 256M)\n"
    "  clear             remove every entry\n"
    "    --dry-run         with prune or clear: print the same report, but remove nothing\n"
    "move\n"
    "  export FILE       write the ok entries of all layers to a tar archive;\n"
    "                    FILE - is standard output\n"
    "    --stale           also write stale entries\n"
    "  import FILE       check every member of a tar archive (gzip and zstd are unpacked) and\n"
    "                    put it into the writable cache; FILE - is standard input; exit 1 if\n"
    "                    one is rejected, or evicted because of the size limit. A checksum is\n"
    "                    not a signature: import only from sources that may run code here\n"
    "\n"
    "An entry is ok, stale (intact, but built from another kernel source or with other options,\n"
    "so this version of udm does not use it) or bad (damaged or foreign, so no version does).\n"
    "An entry that is being read or written is never removed.\n"
    "\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            print one JSON object\n"
    "\n"
    "examples\n"
    "  udm cache list\n"
    "  cuobjdump -sass \"$(udm cache path)\"/*.cubin\n"
    "  udm cache verify --json\n"
    "  udm cache prune --older-than 30d --keep-arch sm_90,sm_100 --dry-run\n"
    "  udm cache export - | ssh node udm cache import -\n";

enum { CACHE_DIR = OPTION_FIRST, JSON, OLDER_THAN, KEEP_ARCH, MAX_BYTES, DRY_RUN, STALE };

static const struct option long_options[] = {
    {"cache-dir", required_argument, NULL, CACHE_DIR},
    {"json", no_argument, NULL, JSON},
    {"older-than", required_argument, NULL, OLDER_THAN},
    {"keep-arch", required_argument, NULL, KEEP_ARCH},
    {"max-bytes", required_argument, NULL, MAX_BYTES},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"stale", no_argument, NULL, STALE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct cache_subcommand {
  const char *name;
  int (*run)(const struct cache_command *command);
  int own_options[4]; /* besides --cache-dir and --json; the rest is 0 */
  bool takes_file;
};

static const struct cache_subcommand subcommands[] = {
    {"path", cache_path, {0}, false},
    {"list", cache_list, {0}, false},
    {"verify", cache_verify, {0}, false},
    {"prune", cache_prune, {OLDER_THAN, KEEP_ARCH, MAX_BYTES, DRY_RUN}, false},
    {"clear", cache_clear, {DRY_RUN}, false},
    {"export", cache_export, {STALE}, true},
    {"import", cache_import, {0}, true},
};
enum { SUBCOMMAND_COUNT = sizeof subcommands / sizeof subcommands[0] };

static const struct cache_subcommand *find_subcommand(const char *name) {
  const char *names[SUBCOMMAND_COUNT + 1] = {NULL};
  for (int i = 0; i < SUBCOMMAND_COUNT; ++i) names[i] = subcommands[i].name;
  const int found = arguments_choice("cache", name, names);
  return found < 0 ? NULL : &subcommands[found];
}

static bool is_own_option(const struct cache_subcommand *subcommand, int option) {
  for (size_t i = 0; i < sizeof subcommand->own_options / sizeof subcommand->own_options[0]; ++i) {
    if (subcommand->own_options[i] == option) return true;
  }
  return false;
}

/* The options of `given` (one bit per option, from OPTION_FIRST) that the subcommand does not have.
 */
static bool options_fit(const struct cache_subcommand *subcommand, unsigned given) {
  for (const struct option *option = long_options; option->name; ++option) {
    const int value = option->val;
    if (value <= JSON || !(given >> (value - OPTION_FIRST) & 1u)) continue;
    if (is_own_option(subcommand, value)) continue;
    output_error("cache: %s has no option '--%s': see 'udm cache --help'", subcommand->name,
                 option->name);
    return false;
  }
  return true;
}

static bool set_option(struct cache_command *command, int option) {
  switch (option) {
    case CACHE_DIR:
      command->options.cache_dir = optarg;
      return true;
    case JSON:
      command->json = true;
      return true;
    case OLDER_THAN:
      return arguments_age("--older-than", optarg, &command->rules.older_than_seconds);
    case KEEP_ARCH:
      command->rules.keep_archs = command->keep_archs;
      return arguments_archs("--keep-arch", optarg, command->keep_archs, UDM_MAX_ARCHS,
                             &command->rules.keep_arch_count);
    case MAX_BYTES:
      return arguments_bytes("--max-bytes", optarg, &command->rules.max_bytes);
    case DRY_RUN:
      command->rules.flags |= UDM_CACHE_PRUNE_DRY_RUN;
      return true;
    case STALE:
      command->stale = true;
      return true;
    default:
      return false;
  }
}

/* The subcommand, ready to run; NULL after a message. */
static const struct cache_subcommand *check(int argc, char **argv, unsigned given,
                                            struct cache_command *command) {
  if (optind == argc) {
    output_error(
        "cache: path, list, verify, prune, clear, export or import is missing: see "
        "'udm cache --help'");
    return NULL;
  }
  const struct cache_subcommand *subcommand = find_subcommand(argv[optind]);
  if (!subcommand || !options_fit(subcommand, given)) return NULL;
  if (!arguments_positional(argc, argv, subcommand->takes_file ? 2 : 1, "FILE")) return NULL;
  if (!subcommand->takes_file) return subcommand;
  command->file = argv[optind + 1];
  if (!command->file[0]) {
    output_error("cache: FILE is empty: name a file, or - for %s",
                 subcommand->run == cache_export ? "standard output" : "standard input");
    return NULL;
  }
  if (subcommand->run == cache_export && command->json && strcmp(command->file, "-") == 0) {
    output_error("cache: export - has no room for --json: the archive is on standard output");
    return NULL;
  }
  return subcommand;
}

/* A subcommand calls the library several times, import once per member: one warning is enough. */
static void log_once(void *user_data, udm_log_level level, const char *message) {
  static char last[1024];
  char text[sizeof last];
  snprintf(text, sizeof text, "%s", message);
  if (level != UDM_LOG_WARNING || strcmp(text, last) == 0) return;
  memcpy(last, text, sizeof last);
  output_log(user_data, level, message);
}

int cache_main(int argc, char **argv) {
  struct cache_command command = {.options = UDM_OPTIONS_INIT,
                                  .rules = UDM_CACHE_PRUNE_OPTIONS_INIT};
  unsigned given = 0;
  int option;
  command.options.log = log_once;
  while ((option = arguments_next(argc, argv, long_options)) != -1) {
    if (option == OPTION_HELP) {
      fputs(help_text, stdout);
      return EXIT_DONE;
    }
    if (!set_option(&command, option)) return EXIT_USAGE;
    given |= 1u << (option - OPTION_FIRST);
  }
  const struct cache_subcommand *subcommand = check(argc, argv, given, &command);
  return subcommand ? subcommand->run(&command) : EXIT_USAGE;
}
