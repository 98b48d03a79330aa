/*
 * A library that cannot be loaded, because another one is not found: needed.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
int needed(void);
int lacks_another(void);
int lacks_another(void) { return needed(); }
