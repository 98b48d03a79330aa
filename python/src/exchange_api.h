/*
 * exchange_api.h: DLPack's C exchange API of a tensor type, found once a type.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_EXCHANGE_API_H
#define UDM_PYTHON_EXCHANGE_API_H

#include "dlpack.h"
#include "python_api.h"

/* NULL, with no exception set, when the type has none that is known here. */
const dlpack_exchange_api *exchange_api_of(PyTypeObject *type);

#endif
