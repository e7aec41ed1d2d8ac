/* SPDX-License-Identifier: Apache-2.0
 *
 * module: a PKCS#11 module in this process: loaded and initialised by p11-kit, and its slots. Used
 * unmanaged, that is without p11-kit's wrappers around every call: there is one caller, in one
 * thread, and after a fork comes an exec.
 */
#ifndef KEYD_TOKEN_MODULE_H
#define KEYD_TOKEN_MODULE_H

#include <p11-kit/pkcs11.h>

#include <stddef.h>

#include "proto/base/err.h"

struct module {
    CK_FUNCTION_LIST *p11; /* NULL: not loaded */
    bool initialised;
};

/* Loads the module at this absolute path and calls C_Initialize. ERR_STORAGE: it is not there or is
 * no module. ERR_UNAVAILABLE: C_Initialize failed, which may pass (a start beside other starts). */
bool module_load(struct module *ret, const char *path, struct err *err) MUST_USE;

/* C_Finalize, unload. A module that is not loaded is fine. */
void module_unload(struct module *m);

/* The slots that hold a token (C_GetSlotList). *ret is freed with mem_free. */
bool module_slots(const struct module *m, CK_SLOT_ID **ret, size_t *ret_count,
                  struct err *err) MUST_USE;

#endif
