/*
 * exchange_api.h: DLPack's C exchange API of a tensor type, found once a type.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_EXCHANGE_API_H
#define UDM_PYTHON_EXCHANGE_API_H

#include "dlpack.h"
#include "python_api.h"

struct known_type {
  PyTypeObject *type;
  const struct dlpack_exchange_api *api; /* NULL: it has none */
};

/* The type asked for last, which is also that of the next tensor, nearly always. */
extern struct known_type exchange_api_last;

/* Any other type. */
const struct dlpack_exchange_api *exchange_api_find(PyTypeObject *type);

/* NULL, with no exception set, when the type has none that is known here. */
static inline const struct dlpack_exchange_api *exchange_api_of(PyTypeObject *type) {
  return exchange_api_last.type == type ? exchange_api_last.api : exchange_api_find(type);
}

#endif
