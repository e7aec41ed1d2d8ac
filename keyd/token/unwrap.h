/* SPDX-License-Identifier: Apache-2.0
 *
 * unwrap: private keys that come in wrapped (design D2). What is unwrapped is as generated keys are
 * but for its birth: sensitive, not extractable, sign only. It is never in the clear on our side of
 * PKCS#11.
 *
 * The wrapped form is that of CKM_RSA_AES_KEY_WRAP (PKCS#11 v2.40 2.1.21) in two pieces: an AES-256
 * key under RSA-OAEP, and the PrivateKeyInfo under AES key wrap with padding (RFC 5649). Tokens
 * that have not that mechanism unwrap the two pieces one after the other; the AES key then is a
 * session object that can do nothing else, for the moment.
 */
#ifndef KEYD_TOKEN_UNWRAP_H
#define KEYD_TOKEN_UNWRAP_H

#include "keyd/token/keys.h"
#include "proto/import.h"

/* How a token takes keys in; found by unwrap_probe. */
struct unwrap_way {
    enum import_hash hash;      /* of OAEP; IMPORT_HASH_NONE: it cannot unwrap */
    bool one_step;              /* by CKM_RSA_AES_KEY_WRAP */
    unsigned long key_wrap;     /* in two steps: the mechanism that does RFC 5649 here */
    bool types[KEY_TYPE_COUNT]; /* what was tried and signed */
};

/* ---- the key that others are wrapped for */

#define IMPORT_KEY_TYPE KEY_TYPE_RSA_3072

/* Generates an import key: an RSA pair of `type` whose private half can do nothing but unwrap, and
 * that by the mechanism of this way alone (CKA_ALLOWED_MECHANISMS). As token_generate. */
bool import_key_generate(struct token *t, enum key_type type, const struct unwrap_way *way,
                         const uint8_t *cka_id, size_t cka_id_len, const char *label,
                         bool persistent, token_handle *ret, uint8_t *spki, size_t *spki_len,
                         struct err *err) MUST_USE;

/* As token_key_judge, for an import key: CKA_UNWRAP true, CKA_SIGN false, and the mechanism. */
bool import_key_judge(struct token *t, token_handle key, const struct unwrap_way *way,
                      struct err *err) MUST_USE;

/* Wraps a throw-away key for this SubjectPublicKeyInfo in software, has it unwrapped and sign: the
 * proof that this handle is this import key. Every handle passes it before its first use. */
bool import_key_prove(struct token *t, token_handle key, const struct unwrap_way *way,
                      const uint8_t *spki, size_t spki_len, struct err *err) MUST_USE;

/* ---- unwrapping */

/* What came in; borrowed. */
struct unwrap_blobs {
    const uint8_t *kek, *key;
    size_t kek_len, key_len;
};

struct unwrap_as {
    enum key_type type;
    const uint8_t *cka_id;
    size_t cka_id_len;
    const char *label;
    const uint8_t *spki; /* for auditors, in the object of token_unwrap_keep; NULL: none */
    size_t spki_len;
};

/* Unwraps to a session object, which the caller destroys. *ret_refused, on failure: the token
 * refused what came in; then the error is always the same (ERR_BAD_REQUEST), whatever part of it
 * was wrong, so that nobody can ask the token about pieces of somebody's key. Other errors are the
 * token's own trouble. */
bool token_unwrap_try(struct token *t, token_handle import_key, const struct unwrap_way *way,
                      const struct unwrap_blobs *blobs, const struct unwrap_as *as,
                      token_handle *ret, bool *ret_refused, struct err *err) MUST_USE;

/* Unwraps to a token object, for blobs that token_unwrap_try took: what fails now is the token. */
bool token_unwrap_keep(struct token *t, token_handle import_key, const struct unwrap_way *way,
                       const struct unwrap_blobs *blobs, const struct unwrap_as *as,
                       token_handle *ret, struct err *err) MUST_USE;

/* The one error for all that is wrong with what came in. Always returns false. */
bool unwrap_refused(struct err *err);

/* ---- the probe */

#define UNWRAP_NOTE 160 /* bytes */

/* Finds the way by known answers, with session objects: under this import key, if there is one
 * (handle 0: under a throw-away one, which takes a moment to make). A token that cannot unwrap
 * passes with hash IMPORT_HASH_NONE. `note`: what an operator should know; empty if there is
 * nothing. Fails only when the token is lost. */
bool unwrap_probe(struct token *t, token_handle import_key, const uint8_t *spki, size_t spki_len,
                  struct unwrap_way *ret, char note[UNWRAP_NOTE], struct err *err) MUST_USE;

#endif
