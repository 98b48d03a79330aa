/*
 * inspection.h: what udm is doing, for those who run a server: image() and
 * cache_counters().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_INSPECTION_H
#define UDM_PYTHON_INSPECTION_H

#include "python_api.h"

/* Adds the type udm.Image to the module; -1 with an exception set. */
int inspection_create(PyObject *module);

/* METH_FASTCALL | METH_KEYWORDS */
PyObject *image(PyObject *module, PyObject *const *arguments, Py_ssize_t given,
                PyObject *keyword_names);
/* METH_NOARGS */
PyObject *cache_counters(PyObject *module, PyObject *unused);

extern const char image_doc[];
extern const char cache_counters_doc[];

#endif
