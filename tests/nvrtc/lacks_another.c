/*
 * lacks_another.c: a library that the loader cannot load, because needed.c's is missing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
int needed(void);
int lacks_another(void);
int lacks_another(void) { return needed(); }
