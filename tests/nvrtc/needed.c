/*
 * needed.c: the library that lacks_another.c needs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
int needed(void);
int needed(void) { return 1; }
