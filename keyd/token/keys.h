/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: the key objects of a token. Private keys are token objects: sensitive, not extractable,
 * sign only, CKA_ALLOWED_MECHANISMS as the type needs (design D1). Public halves are session
 * objects that live just long enough to be read.
 */
#ifndef KEYD_TOKEN_KEYS_H
#define KEYD_TOKEN_KEYS_H

#include "keyd/token/token.h"

#define TOKEN_CKA_ID_MAX 32
#define TOKEN_LABEL_MAX  160

typedef unsigned long token_handle; /* CK_OBJECT_HANDLE; 0: none */

/* Generates a pair (C_GenerateKeyPair) with this CKA_ID and CKA_LABEL; writes the DER
 * SubjectPublicKeyInfo of its public half to spki (SPKI_MAX_LEN bytes). The private key is a token
 * object when `persistent`, else a session object. ERR_UNSUPPORTED: the token cannot make this
 * type; says which it can. */
bool token_generate(struct token *t, enum key_type type, const uint8_t *cka_id, size_t cka_id_len,
                    const char *label, bool persistent, token_handle *ret, uint8_t *spki,
                    size_t *spki_len, struct err *err) MUST_USE;

/* Whether the token's mechanisms can generate and sign with the type (C_GetMechanismInfo). */
bool token_can_generate(const struct token *t, enum key_type type);

struct token_private {
    token_handle handle;
    uint8_t cka_id[TOKEN_CKA_ID_MAX];
    size_t cka_id_len; /* 0: it has none, or one longer than any of ours */
};

/* One enumeration of all private keys that are token objects (session copies left out). *ret is
 * freed with mem_free. */
bool token_list_private(struct token *t, struct token_private **ret, size_t *ret_count,
                        struct err *err) MUST_USE;

/* The private token key with that CKA_ID by C_FindObjects: a scan, never on the signing path.
 * ERR_NOT_FOUND; ERR_CONFLICT when there are several. */
bool token_find_private(struct token *t, const uint8_t *cka_id, size_t cka_id_len,
                        token_handle *ret, struct err *err) MUST_USE;

/* Reads the attributes of a private key back and compares them with what a key of keyd must have:
 * CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE true; CKA_EXTRACTABLE, CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE,
 * CKA_SIGN_RECOVER false; CKA_ALLOWED_MECHANISMS exactly those of its type. The error names the
 * attribute. */
bool token_key_judge(struct token *t, token_handle key, enum key_type type,
                     struct err *err) MUST_USE;

/* CKA_ALLOWED_MECHANISMS of a key of keyd of that type, in words: "CKM_SHA256_RSA_PKCS, ...". */
const char *token_allowed_words(enum key_type type, char *buf, size_t size);

/* A session copy (C_CopyObject with CKA_TOKEN false), which signs without file access. */
bool token_session_copy(struct token *t, token_handle key, token_handle *ret,
                        struct err *err) MUST_USE;

/* C_DestroyObject. */
bool token_destroy(struct token *t, token_handle object, struct err *err) MUST_USE;

/* ---- every object, for auditors */

struct token_attribute {
    const char *name; /* "CKA_SENSITIVE", static */
    char *value; /* in words; "(sensitive)" when the token hides it, "(readable, not shown)" when it
                    is a key or data that it does not hide */
};

#define TOKEN_UNREADABLE "(unreadable)" /* the token shows that it is there, and nothing more */

struct token_object {
    token_handle handle;
    const char *cls;             /* "CKO_PRIVATE_KEY", or TOKEN_UNREADABLE; static */
    char label[TOKEN_LABEL_MAX]; /* not-printable bytes as \xNN */
    uint8_t cka_id[TOKEN_CKA_ID_MAX];
    size_t cka_id_len;
    struct token_attribute *attributes; /* those that the object has */
    size_t attribute_count;
};

/* All token objects of every class, in the order of their handles. Freed with token_objects_free.
 */
bool token_list_objects(struct token *t, struct token_object **ret, size_t *ret_count,
                        struct err *err) MUST_USE;

/* As token_list_objects, but only those at the places `first` to `first` + `max` - 1 of that order;
 * objects that went meanwhile are left out. *ret_total: how many token objects there are. */
bool token_page_objects(struct token *t, size_t first, size_t max, struct token_object **ret,
                        size_t *ret_count, size_t *ret_total, struct err *err) MUST_USE;

/* One object, as token_list_objects shows it; freed with token_objects_free(*ret, 1). ERR_NOT_FOUND
 * when it is gone. */
bool token_read_object(struct token *t, token_handle object, struct token_object **ret,
                       struct err *err) MUST_USE;

/* The value of an attribute, in words; NULL: the object does not have it. Borrowed. */
const char *token_object_value(const struct token_object *o, const char *name);

/* Frees the list. NULL is fine. */
void token_objects_free(struct token_object *objects, size_t count);

#endif
