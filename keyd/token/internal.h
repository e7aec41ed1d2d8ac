/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share: the token behind its handle, and the one place where a CK_RV
 * becomes an error.
 */
#ifndef KEYD_TOKEN_INTERNAL_H
#define KEYD_TOKEN_INTERNAL_H

#include <openssl/evp.h>
#include <p11-kit/pkcs11.h>

#include "keyd/token/attrs.h"
#include "keyd/token/keys.h"
#include "keyd/token/module.h"
#include "keyd/token/token.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct token {
    struct module module;
    CK_FUNCTION_LIST *p11; /* the module's functions */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session; /* the only one, from open to close */
    bool has_session;
    bool lost;
    bool can_generate[KEY_TYPE_COUNT];
    struct token_info info;
    EVP_MD_CTX *digest; /* made once: the signing path allocates nothing */
    EVP_MD *sha256, *sha384, *sha512;
};

/* "C_Sign: CKR_DEVICE_ERROR", with the code and hint that fit the CK_RV (PKCS#11 v2.40 5.1), and
 * remembers whether session, login or token are gone with it. Always returns false. */
bool token_fail(struct token *t, const char *function, CK_RV rv, struct err *err);

/* Whether a CK_RV says that session, login or token are gone. */
bool rv_is_loss(CK_RV rv);

/* As token_fail, for calls that need no session. Always returns false. */
bool rv_fail(const char *function, CK_RV rv, struct err *err);

/* ---- what PKCS#11 wants for each type of key (types.c) */

struct type_row {
    enum key_type type;
    CK_KEY_TYPE key_type;
    CK_MECHANISM_TYPE generate;
    const CK_MECHANISM_TYPE
        *allowed; /* what CKA_ALLOWED_MECHANISMS holds; the first must be there */
    size_t allowed_count;
    struct {
        const uint8_t *bytes;
        size_t len;
    } params[2]; /* CKA_EC_PARAMS, in the order to try; empty for RSA */
};

/* The row of a type; NULL for one that is not known. */
const struct type_row *type_row(enum key_type type);

/* ---- public keys (spki.c) */

/* Reads a public key object and writes its DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7), canonical
 * whatever form the token gives it in, to spki (SPKI_MAX_LEN bytes). *ret_point_raw, if not NULL:
 * whether CKA_EC_POINT came without its OCTET STRING. */
bool spki_read(struct token *t, token_handle public_key, enum key_type type, uint8_t *spki,
               size_t *spki_len, bool *ret_point_raw, struct err *err) MUST_USE;

/* Writes the SubjectPublicKeyInfo of a key to spki (SPKI_MAX_LEN bytes). */
bool spki_encode(const EVP_PKEY *key, uint8_t *spki, size_t *spki_len, struct err *err) MUST_USE;

/* The public key in a DER SubjectPublicKeyInfo; freed with EVP_PKEY_free. ERR_BAD_REQUEST when
 * it is none, or has bytes after it. */
bool spki_decode(const uint8_t *spki, size_t spki_len, EVP_PKEY **ret, struct err *err) MUST_USE;

/* Writes a SubjectPublicKeyInfo that somebody else encoded in our one way to spki (SPKI_MAX_LEN
 * bytes). ERR_BAD_REQUEST when it is none. */
bool spki_canonical(const uint8_t *der, size_t len, uint8_t *spki, size_t *spki_len,
                    struct err *err) MUST_USE;

/* ---- generation with its parts visible, for the probe (generate.c) */

struct generate {
    enum key_type type;
    const uint8_t *cka_id;
    size_t cka_id_len;
    const char *label;
    bool persistent;
    bool unmodifiable;                /* CKA_MODIFIABLE false */
    bool unwraps;                     /* an import key: CKA_UNWRAP and not CKA_SIGN */
    const CK_MECHANISM_TYPE *allowed; /* NULL: those of the type */
    size_t allowed_count;
};

/* Appends what every private key of keyd is made with, also one that is unwrapped. What `what` and
 * `row` point to must outlive the template. */
void private_template(struct attrs *a, const struct generate *what, const struct type_row *row);

/* Tells the token the public key of a private token object, where it takes it
 * (CKA_PUBLIC_KEY_INFO, PKCS#11 v2.40 4.9): for auditors; keyd itself does not rely on it. */
void offer_spki(struct token *t, token_handle private_key, const uint8_t *spki, size_t len);

/* C_GenerateKeyPair with the template of keyd. The caller destroys both. */
bool generate_pair(struct token *t, const struct generate *what, token_handle *ret_public,
                   token_handle *ret_private, struct err *err) MUST_USE;

/* As token_generate, without asking whether the token can. */
bool generate_key(struct token *t, const struct generate *what, token_handle *ret, uint8_t *spki,
                  size_t *spki_len, struct err *err) MUST_USE;

/* ---- judging with its parts visible (keys.c) */

struct judge {
    CK_KEY_TYPE key_type;
    bool unwraps; /* an import key: CKA_UNWRAP and not CKA_SIGN */
    const CK_MECHANISM_TYPE *allowed;
    size_t allowed_count;
};

/* As token_key_judge, against these. */
bool judge_key(struct token *t, token_handle key, const struct judge *as, struct err *err) MUST_USE;

/* Whether an object has nothing that anybody would have given it: a key without CKA_ID, label,
 * modulus, curve, point. (adopt.c) */
bool looks_cut_short(const struct token_object *o);

/* Whether the token has a mechanism for keys of that many bits (C_GetMechanismInfo). (token.c) */
bool mechanism_does(const struct token *t, CK_MECHANISM_TYPE mechanism, CK_FLAGS flag,
                    unsigned bits);

#endif
