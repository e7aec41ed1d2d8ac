/* SPDX-License-Identifier: Apache-2.0
 *
 * softhsm: what SoftHSM2 alone needs. All of it does nothing for other tokens.
 */
#ifndef KEYD_TOKEN_SOFTHSM_H
#define KEYD_TOKEN_SOFTHSM_H

#include "proto/base/err.h"

#include <stddef.h>
#include <stdint.h>

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

/* The names of object files without an attribute of the token with this serial number, of which
 * PKCS#11 shows nothing: what a kill in the middle of a generation leaves. Files that changed
 * within the last minute are left out: somebody may be about to write one. *ret is freed with
 * mem_free. */
bool softhsm_empty_files(const char *state_dir, const char *serial,
                         char (**ret)[SOFTHSM_NAME_MAX + 1], size_t *ret_count,
                         struct err *err) MUST_USE;

/* Removes an empty object file, if it is one still. *ret_gone: it was, and is no more. */
bool softhsm_remove_empty(const char *state_dir, const char *serial, const char *name,
                          bool *ret_gone, struct err *err) MUST_USE;

/* The module says little when it cannot use its files. If a folder of tokens cannot be read or
 * written by this process, or lies on a file system that is read-only or full, this becomes err's
 * hint. Whether it did. */
bool softhsm_explain(const char *state_dir, struct err *err);

/* Takes one file of a token: its name below state_dir ("tokens/<uuid>/token.object"), its bytes. */
typedef bool softhsm_take(void *user, const char *name, const uint8_t *bytes, size_t len,
                          struct err *err);

/* Shows `take` every file of the token with this serial number; *ret_any is false for a token that
 * is not SoftHSM's or keeps its files elsewhere. The caller's process is the one that changes the
 * token, and does not meanwhile; a login elsewhere may, in the file that it rewrites: that one is
 * read until it is whole and at rest. ERR_BUSY when it does not come to rest within 2 s. */
bool softhsm_files(const char *state_dir, const char *serial, softhsm_take *take, void *user,
                   bool *ret_any, struct err *err) MUST_USE;

#endif
