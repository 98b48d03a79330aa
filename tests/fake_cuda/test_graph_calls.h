/*
 * The fake driver's captures and graphs, tested.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TEST_GRAPH_CALLS_H
#define UDM_TESTS_TEST_GRAPH_CALLS_H

/* cmocka tests; *state is the current context, of device 0. */
void a_graph_replays_over_what_memory_holds_then(void **state);
void a_node_changes_its_function_as_the_driver_allows(void **state);
void what_is_illegal_in_capture_invalidates_it(void **state);

#endif
