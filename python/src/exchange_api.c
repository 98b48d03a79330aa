/*
 * exchange_api.c: looks __dlpack_c_exchange_api__ up on a type and remembers
 * the answer, also "none": a failed look-up is slow. Needs the GIL, as all of
 * this extension.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exchange_api.h"

#include <stddef.h>

#include "names.h"

/*
 * Tensor, Parameter and what a server derives from them: a few. More only replace each other.
 * Types are owned, so that no other type can get the address of one.
 */
enum { KNOWN_TYPES = 16 };
static struct known_type known_types[KNOWN_TYPES];
static int next_slot;

struct known_type exchange_api_last; /* always one of them */

/* The table of the layout that is known here, from the chain that starts at header. */
static const struct dlpack_exchange_api *usable(const struct dlpack_exchange_header *header) {
  for (; header; header = header->previous) {
    if (header->version.major != DLPACK_MAJOR) continue;
    const struct dlpack_exchange_api *api =
        (const struct dlpack_exchange_api *)(const void *)header;
    return api->managed_tensor_from_object && api->current_work_stream ? api : NULL;
  }
  return NULL;
}

static const struct dlpack_exchange_api *look_up(PyTypeObject *type) {
  const struct dlpack_exchange_header *header = NULL;
  PyObject *capsule = PyObject_GetAttr((PyObject *)type, name.exchange_api);
  if (capsule && PyCapsule_IsValid(capsule, "dlpack_exchange_api")) {
    header = PyCapsule_GetPointer(capsule, "dlpack_exchange_api");
  }
  Py_XDECREF(capsule);
  PyErr_Clear();
  return usable(header);
}

const struct dlpack_exchange_api *exchange_api_find(PyTypeObject *type) {
  for (int i = 0; i < KNOWN_TYPES; ++i) {
    if (known_types[i].type != type) continue;
    exchange_api_last = known_types[i];
    return exchange_api_last.api;
  }
  const struct known_type found = {(PyTypeObject *)Py_NewRef((PyObject *)type), look_up(type)};
  PyTypeObject *replaced = known_types[next_slot].type;
  known_types[next_slot] = exchange_api_last = found;
  next_slot = (next_slot + 1) % KNOWN_TYPES;
  Py_XDECREF((PyObject *)replaced);
  return found.api;
}
