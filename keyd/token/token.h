/* SPDX-License-Identifier: Apache-2.0
 *
 * token: one PKCS#11 token through p11-kit, with one logged-in session from start to end. The
 * handle is for one single-threaded process; a lost session is not mended here (ERR_UNAVAILABLE
 * with token_lost() true): the process exits and is replaced.
 */
#ifndef KEYD_TOKEN_TOKEN_H
#define KEYD_TOKEN_TOKEN_H

#include "proto/base/secret.h"
#include "proto/keys.h"

struct token;

struct token_info { /* C_GetTokenInfo and C_GetInfo, blanks trimmed */
    char label[33], manufacturer[33], model[17], serial[17];
    char module[256];          /* path and version of the module */
    uint32_t flags;            /* CKF_* of CK_TOKEN_INFO */
    uint64_t max_sessions;     /* 0: unlimited or unknown */
    uint32_t pin_min, pin_max; /* how long a PIN may be; pin_max 0: unknown */
};

/* Loads the module that the RFC 7512 URI names (module-path), finds the one token that it selects,
 * opens a session (read-write if `writable`). state_dir is where an embedded token keeps its
 * files (softhsm.h). Errors: ERR_STORAGE the module is missing or will not load (names the path);
 * ERR_UNAVAILABLE no token fits or it is not initialised (a start may try again: says which tokens
 * there are); ERR_BAD_REQUEST the URI is wrong or fits several tokens. */
bool token_open(struct token **ret, const char *uri, const char *state_dir, bool writable,
                struct err *err) MUST_USE;

/* C_Login as user. ERR_DENIED: wrong or locked PIN; it is never tried again. Refuses before it
 * tries when CKF_USER_PIN_FINAL_TRY is set or the PIN is empty. */
bool token_login(struct token *t, const struct secret *pin, struct err *err) MUST_USE;

/* C_SetPIN: the logged-in user's PIN, in a writable session. Every process that is logged in stays
 * so. On failure the token may have either. Not durable yet: softhsm_sync. */
bool token_set_pin(struct token *t, const struct secret *old, const struct secret *new,
                   struct err *err) MUST_USE;

/* What the token says of itself. Borrowed. */
const struct token_info *token_info(const struct token *t);

/* Whether a user PIN was ever set (CKF_USER_PIN_INITIALIZED); false: token_init was cut short. */
bool token_has_user_pin(const struct token *t);

/* Whether a failure has meant that session, login or token are gone: exit and be replaced. */
bool token_lost(const struct token *t);

/* C_CloseSession, C_Finalize, unload. NULL is fine. */
void token_close(struct token *t);

/* ---- URIs */

/* Checks that the URI is a pkcs11: URI with module-path, which selects by token, serial or slot-id,
 * and has no pin-value. */
bool token_uri_check(const char *uri, struct err *err) MUST_USE;

/* The path in its pin-source ("file:" or a plain absolute path), percent-decoded, into path. */
bool token_uri_pin_source(const char *uri, char *path, size_t size, struct err *err) MUST_USE;

/* The folder that its module lies in, for the sandbox of whoever opens it. */
bool token_uri_module_dir(const char *uri, char *path, size_t size, struct err *err) MUST_USE;

/* ---- making one */

/* Makes a token that does not exist yet in the first uninitialised slot: C_InitToken under the
 * label that the URI names, C_InitPIN; durable when it returns. Call softhsm_write_conf before.
 * Goes on with one that has no user PIN yet. ERR_EXISTS if a token of that label is there. */
bool token_init(const char *uri, const char *state_dir, const struct secret *so_pin,
                const struct secret *user_pin, struct err *err) MUST_USE;

#endif
