/*
 * The fake driver's ways to load an image, tested: modules, libraries,
 * links, cuGetProcAddress, the capture mode of a thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TEST_IMAGE_CALLS_H
#define UDM_TESTS_TEST_IMAGE_CALLS_H

/* cmocka tests; a context of device 0, a 9.0, is current. Device 1 is an 8.6. */
void libraries_become_modules_of_each_context(void **state);
void links_assemble_ptx(void **state);
void an_old_driver_refuses_what_is_newer(void **state);
void functions_are_found_by_name_and_version(void **state);
void a_relaxed_thread_disturbs_no_capture(void **state);

#endif
