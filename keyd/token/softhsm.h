/* SPDX-License-Identifier: Apache-2.0
 *
 * softhsm: what SoftHSM2 alone needs. All of it does nothing for other tokens.
 */
#ifndef KEYD_TOKEN_SOFTHSM_H
#define KEYD_TOKEN_SOFTHSM_H

#include "proto/base/err.h"

#include <stddef.h>

/* Writes <state_dir>/softhsm2.conf (tokens in <state_dir>/tokens, made if it is not there) unless
 * it is there already. */
bool softhsm_write_conf(const char *state_dir, struct err *err) MUST_USE;

/* Points the module at <state_dir>/softhsm2.conf (SOFTHSM2_CONF) if that file is there. */
bool softhsm_environment(const char *state_dir, struct err *err) MUST_USE;

/* The file of the token with this serial number that C_Login rewrites and a kill can empty: its
 * master keys, <state_dir>/tokens/<uuid>/token.object. Empty string: this token has no such file.
 */
bool softhsm_guarded_file(const char *state_dir, const char *serial, char *path, size_t size,
                          struct err *err) MUST_USE;

/* Makes what the module wrote durable: fsync of every file and folder below <state_dir>/tokens that
 * changed since the last call (SoftHSM does not). */
bool softhsm_sync(const char *state_dir, struct err *err) MUST_USE;

#define SOFTHSM_NAME_MAX 63

/* The names of empty object files of the token with this serial number, which PKCS#11 does not
 * show: what a kill in the middle of a generation leaves. Files that changed within the last minute
 * are left out: somebody may be about to write one. *ret is freed with mem_free. */
bool softhsm_empty_files(const char *state_dir, const char *serial,
                         char (**ret)[SOFTHSM_NAME_MAX + 1], size_t *ret_count,
                         struct err *err) MUST_USE;

/* Removes an empty object file, if it is one still. *ret_gone: it was, and is no more. */
bool softhsm_remove_empty(const char *state_dir, const char *serial, const char *name,
                          bool *ret_gone, struct err *err) MUST_USE;

#endif
