/*
 * faults.h: memory faults of a kernel, or of the driver around it: the process ends after a line
 * that says where it was. A test framework's handler must not see them: it would jump out of the
 * fiber or the driver, and leave work half done and locks taken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAULTS_H
#define UDM_TESTS_FAULTS_H

/*
 * Between these two calls a fault ends the process; `what` names the running code. Pairs may nest.
 * The caller ensures that only one thread at a time is between them.
 */
void faults_begin(const char *what);
void faults_end(void);

#endif
