/*
 * python_api.h: includes Python.h for the limited API, the same way in every file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_PYTHON_API_H
#define UDM_PYTHON_PYTHON_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h> /* IWYU pragma: export */

#if !defined(Py_LIMITED_API) || Py_LIMITED_API + 0 != 0x030A0000
#error "build with CMakeLists.txt, which asks for the limited API of CPython 3.10"
#endif

#endif
