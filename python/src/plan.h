/*
 * plan.h: udm.Plan binds the outputs once; every call fills them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_PLAN_H
#define UDM_PYTHON_PLAN_H

#include "python_api.h"

/* Adds the type to the module; -1 with an exception set. */
int plan_create(PyObject *module);

#endif
