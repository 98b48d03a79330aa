/*
 * The progress bar on a terminal, and a message that comes while it is drawn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "command/output.h"
#include "command/progress.h"

/* stderr is a terminal from here on; returns the end that a person would see. */
static int become_terminal(void) {
  const int screen = posix_openpt(O_RDWR | O_NOCTTY);
  if (screen < 0 || grantpt(screen) != 0 || unlockpt(screen) != 0) {
    print_message("skipped: no pseudo-terminal can be had here\n");
    skip();
  }
  const int terminal = open(ptsname(screen), O_RDWR | O_NOCTTY);
  assert_true(terminal >= 0);
  assert_true(dup2(terminal, STDERR_FILENO) >= 0);
  close(terminal);
  return screen;
}

/* Everything up to here; what a terminal shows comes in pieces. */
static void read_screen(int screen, char *text, size_t size) {
  static const char ending[] = "the end\r\n";
  size_t used = 0;
  fputs("the end\n", stderr);
  for (char *end = NULL; !end; end = strstr(text, ending)) {
    const ssize_t length = read(screen, text + used, size - 1 - used);
    assert_true(length > 0);
    used += (size_t)length;
    text[used] = '\0';
  }
  text[used - strlen(ending)] = '\0';
}

static void test_message_wipes_the_bar(void **state) {
  (void)state;
  char text[1024];
  struct progress_bar bar;
  const int normal = dup(STDERR_FILENO);
  setenv("TERM", "xterm", 1);
  const int screen = become_terminal();
  progress_start(&bar, "work", 4);
  progress_update(&bar, 2);
  output_error("something happened");
  output_error("and again");
  progress_finish(&bar);
  read_screen(screen, text, sizeof text);
  dup2(normal, STDERR_FILENO);
  close(normal);
  close(screen);
  /* a terminal gets "\r\n"; what is drawn once is wiped once */
  const char *bar_text = strstr(text, "work  [################................] 2/4");
  assert_non_null(bar_text);
  const char *wipe = strchr(bar_text, '\r');
  assert_string_equal(wipe, "\r\033[Kudm: something happened\r\nudm: and again\r\n");
}

static void test_message_without_a_bar(void **state) {
  (void)state;
  char text[1024];
  struct progress_bar bar;
  const int normal = dup(STDERR_FILENO);
  setenv("TERM", "dumb", 1);
  const int screen = become_terminal();
  progress_start(&bar, "work", 4);
  progress_update(&bar, 2);
  output_error("alone");
  progress_finish(&bar);
  read_screen(screen, text, sizeof text);
  dup2(normal, STDERR_FILENO);
  close(normal);
  close(screen);
  assert_string_equal(text, "udm: alone\r\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_message_wipes_the_bar),
      cmocka_unit_test(test_message_without_a_bar),
  };
  return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
