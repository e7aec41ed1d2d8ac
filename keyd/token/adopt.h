/* SPDX-License-Identifier: Apache-2.0
 *
 * adopt: keys that the token held before keyd knew them. They are found by URI, told for what they
 * are, and their public half is proven. Nothing here changes an object.
 */
#ifndef KEYD_TOKEN_ADOPT_H
#define KEYD_TOKEN_ADOPT_H

#include "keyd/token/keys.h"

/* The one private token key that an RFC 7512 URI names (object, id; type=private is taken for
 * granted). ERR_BAD_REQUEST for another form, for one that names another token or holds a PIN;
 * ERR_NOT_FOUND; ERR_AMBIGUOUS names those that fit. */
bool token_find_uri(struct token *t, const char *uri, token_handle *ret, struct err *err) MUST_USE;

/* What type of key a private key is, by CKA_KEY_TYPE and its modulus or curve. ERR_UNSUPPORTED says
 * what it is instead. */
bool token_private_type(struct token *t, token_handle key, enum key_type *ret,
                        struct err *err) MUST_USE;

/* The DER SubjectPublicKeyInfo of a private key, canonical, into spki (SPKI_MAX_LEN bytes): from
 * its CKA_PUBLIC_KEY_INFO, from a public key object of the same CKA_ID, or (RSA) from the private
 * object itself; the first under which a test signature verifies. ERR_NOT_FOUND when the token
 * shows none; else what was wrong with the last one. */
bool token_public_half(struct token *t, token_handle key, enum key_type type, uint8_t *spki,
                       size_t *spki_len, struct err *err) MUST_USE;

/* ---- fragments: what a generation that was cut short has left (design D4) */

/* Whether an object is nothing but a beginning: a private or public key without CKA_ID, without
 * label, without modulus, curve or point, that does not sign. All that is more is somebody's. */
bool token_is_fragment(struct token *t, const struct token_object *o, bool *ret,
                       struct err *err) MUST_USE;

#endif
