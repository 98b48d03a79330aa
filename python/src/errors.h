/*
 * errors.h: exceptions. A failure of the library becomes udm.Error or the
 * subclass of its status, with the library's own message. This extension checks
 * arguments itself, and raises a TypeError, a ValueError or an AttributeError
 * that names the wrong one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_ERRORS_H
#define UDM_PYTHON_ERRORS_H

#include "python_api.h"
#include "udm.h"

/* The tensor that a message names: "seq_lens", or "backend_metadata_list[1].page_table_1". */
struct tensor_name {
  const char *argument;
  int backend;           /* -1: the argument itself */
  const char *attribute; /* of that backend's metadata */
};

/* Creates udm.Error and a subclass per status; -1 with an exception set. */
int errors_create(PyObject *module);

/* Raises the error of the library call that failed last on this thread. Returns -1. */
int raise_status(udm_status status);

/* The same for a launch. The argument that holds the backends; NULL if they came as addresses. */
int raise_launch(udm_status status, const char *backends_argument);

/* Raises the exception of a status with a message of this extension. Returns -1. */
int raise_text(udm_status status, const char *format, ...);

/* Raises exception: the name, a space, the text. Returns -1. */
int raise_about(PyObject *exception, const struct tensor_name *about, const char *format, ...);

/*
 * Raises the current exception again, with the tensor's name before its text. If its type is not
 * Python's own, raises the same one, with the name as a note. Returns -1.
 */
int raise_named(const struct tensor_name *about);

/* The attributes of a backend's metadata, indexed by enum udm_output. */
extern const char *const output_attributes[];

/* The outputs that are written only if extra_outputs names them, as in udm_extra_outputs. */
enum extra_output { EXTRA_CU_SEQLENS_Q, EXTRA_CTX_LENS, EXTRA_SCHEDULE, EXTRA_OUTPUTS };
extern const char *const extra_attributes[EXTRA_OUTPUTS];

/* The modes as callers spell them, by enum udm_mode. */
extern const char *const mode_names[];

#endif
