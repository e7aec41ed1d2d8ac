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

#endif
