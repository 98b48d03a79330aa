/*
 * Faults of a kernel: the process ends, after a line that says which kernel it
 * was. A test framework's handler must not see them: it would jump out of the
 * fiber, and leave the launch half done and its locks taken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAULTS_H
#define UDM_TESTS_FAULTS_H

/* Between these two calls a fault ends the process. They do not nest. */
void faults_begin(const char *kernel);
void faults_end(void);

#endif /* UDM_TESTS_FAULTS_H */
