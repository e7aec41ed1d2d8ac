/* SPDX-License-Identifier: Apache-2.0
 *
 * guard: the file of an embedded token that a killed login destroys (SoftHSM rewrites its master
 * keys in place at every C_Login; a process killed in that moment leaves the file empty, and every
 * key of the token is lost). The custodian, which alone knows the token, names the file; the parent
 * keeps an fsynced copy of its bytes below <state_dir>/guard and puts them back when the file is
 * shorter than the copy. Only between token processes: while none is starting.
 */
#ifndef KEYD_GUARD_H
#define KEYD_GUARD_H

#include "proto/base/err.h"

#include <stddef.h>

struct guard {
    char state_dir[512];
    char path[768]; /* of the guarded file; empty: none is known */
};

/* What an earlier keyd left below state_dir; a guard without a path if there is nothing. */
bool guard_open(struct guard *ret, const char *state_dir, struct err *err) MUST_USE;

/* Copies the file at path, which must lie below the state directory and not be empty, and
 * remembers it: copy and name are durable when this returns. */
bool guard_learn(struct guard *g, const char *path, struct err *err) MUST_USE;

/* Puts the copy back if the file is missing or shorter: written beside it, fsynced, renamed.
 * *ret_mended says whether it had to. Nothing to do without a path. */
bool guard_mend(const struct guard *g, bool *ret_mended, struct err *err) MUST_USE;

#endif
