/* SPDX-License-Identifier: Apache-2.0
 *
 * custodian: the process that changes things. It alone has the registry, and a token session that
 * may write; it does one management verb after another in straight-line code: intent, token,
 * commit, publish, answer. And what keyd --init-token and the parent need to know of the token.
 */
#ifndef KEYD_CUSTODIAN_CUSTODIAN_H
#define KEYD_CUSTODIAN_CUSTODIAN_H

#include <stddef.h>
#include <sys/types.h>

#include "keyd/process/msg.h"

/* The whole life of the process, from MSG_START on `parent`: opens and confines, serves until
 * MSG_DRAIN or until the parent is gone. Returns the exit status: 0, or 1 after MSG_FAILED. The
 * caller passes it to _exit(2), since SoftHSM's exit handlers crash. */
int custodian_main(struct chan *parent);

/* Makes a token under the label that the URI names, and what it needs: state_dir (0700), SoftHSM's
 * configuration in it, a PIN for its security officer in <state_dir>/so.pin and one for the user
 * where pin-source says, each 32 random hex digits in a 0600 file. A PIN file that is there is
 * used, never overwritten: a run that was cut short can be run again. ERR_EXISTS when the token is
 * there; then nothing was changed. The module has been in the process: end it with _exit(2). */
bool custodian_init_token(const char *uri, const char *state_dir, struct err *err) MUST_USE;

/* The file of the token that a killed login destroys (token/softhsm.h), into `path`; an empty
 * string for a token that has no such file. Loads the module, as custodian_init_token does. */
bool custodian_guarded_file(const char *uri, const char *state_dir, char *path, size_t size,
                            struct err *err) MUST_USE;

/* What a backup is of. */
struct custodian_backup {
    char time[24]; /* RFC 3339, UTC */
    char token_label[40], token_serial[24];
    uint32_t keys;         /* in the registry */
    uint32_t private_keys; /* in the token */
    size_t files;
    bool token_files; /* the token's files are in it */
};

/* Reads the whole backup in the folder `dir` and its checksums; changes nothing. ERR_UNSUPPORTED
 * for another format; ERR_STORAGE for a missing or damaged file, which it names. */
bool custodian_restore_check(const char *dir, struct custodian_backup *ret,
                             struct err *err) MUST_USE;

/* Copies the backup into <state_dir>/restoring, owned by uid and gid, checked once more, and makes
 * it durable. ERR_EXISTS for a state directory that holds anything else than PINs. */
bool custodian_restore_copy(const char *dir, const char *state_dir, uid_t uid, gid_t gid,
                            struct err *err) MUST_USE;

/* Moves what custodian_restore_copy has made to its place; as the user that keyd runs as. */
bool custodian_restore_place(const char *state_dir, bool token_files, struct err *err) MUST_USE;

/* Refuses with ERR_CONFLICT while a restore is unfinished. */
bool custodian_restore_pending(const char *state_dir, struct err *err) MUST_USE;

/* Whether the URI names one PKCS#11 token, as the setting must (token.h: token_uri_check). */
bool custodian_uri_check(const char *uri, struct err *err) MUST_USE;

/* Where the URI says that the user's PIN is: a path, into `path` (token.h: token_uri_pin_source).
 */
bool custodian_pin_source(const char *uri, char *path, size_t size, struct err *err) MUST_USE;

#endif
