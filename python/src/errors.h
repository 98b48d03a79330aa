/*
 * errors.h: exceptions. What the library refuses becomes udm.Error or the
 * subclass of its status, with the library's own message; what is wrong with
 * an argument is found here and becomes a TypeError, a ValueError or an
 * AttributeError that names it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_ERRORS_H
#define UDM_PYTHON_ERRORS_H

#include "python_api.h"
#include "udm.h"

/* Which tensor a message speaks of: "seq_lens", or "backend_metadata_list[1].page_table_1". */
struct tensor_name {
  const char *argument;
  int backend;           /* -1: the argument itself */
  const char *attribute; /* of that backend's metadata */
};

/* Makes udm.Error and a subclass for each status; -1 with an exception set. */
int errors_create(PyObject *module);

/* Raises what a failed library call of this thread left behind. Returns -1. */
int raise_status(udm_status status);

/* The same of a launch, whose backends the caller gave in that argument; NULL: as addresses. */
int raise_launch(udm_status status, const char *backends_argument);

/* Raises the exception of a status with a text of this extension. Returns -1. */
int raise_text(udm_status status, const char *format, ...);

/* Raises exception: the name, a space, the text. Returns -1. */
int raise_about(PyObject *exception, const struct tensor_name *about, const char *format, ...);

/*
 * Tells the exception that is set again, with the tensor's name before its text; one of a type that
 * is not Python's own is left as it is. Returns -1.
 */
int raise_named(const struct tensor_name *about);

/* The attributes of a backend's metadata, indexed by enum udm_output. */
extern const char *const output_attributes[];

#endif
