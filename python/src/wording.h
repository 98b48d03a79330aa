/*
 * wording.h: what the library says, in the words of its Python callers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_WORDING_H
#define UDM_PYTHON_WORDING_H

#include "python_api.h"

/* The seven attributes of a backend's metadata, in the order of udm_backend_outputs. */
extern const char *const output_attributes[];

/*
 * The text with the caller's own names: list[1].cu_seqlens_k for args->backends[1].cu_seqlens_k,
 * or, where list is NULL, the element of backend_pointers that it came from. A new reference.
 */
PyObject *in_python_words(const char *text, const char *list);

#endif
