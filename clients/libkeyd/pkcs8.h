/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs8: a private key for the moment in which it signs for its own import. It is read by hand and
 * put into libcrypto piece by piece: libcrypto's own decoders leave copies of what they read in the
 * heap and on the stack.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_PKCS8_H
#define KEYD_CLIENTS_LIBKEYD_PKCS8_H

#include <openssl/evp.h>

#include "proto/keys.h"
#include "proto/scheme.h"

struct own_key {
    EVP_PKEY *pkey;
    enum key_type type;
    uint8_t spki[SPKI_MAX_LEN]; /* DER SubjectPublicKeyInfo, curve points uncompressed */
    size_t spki_len;
    uint8_t id[KEY_ID_LEN];
};

/* Reads a DER PrivateKeyInfo (RFC 5208; RFC 5958 too), which must fill the bytes: RSA (RFC 8017
 * A.1.2), a key on P-256 or P-384 (RFC 5915), Ed25519 (RFC 8410). ERR_BAD_REQUEST for what is none,
 * or is encrypted; ERR_UNSUPPORTED names what it is instead. Ended with own_key_free. */
bool own_key_read(struct own_key *ret, const uint8_t *pkcs8, size_t len, struct err *err) MUST_USE;

/* Signs, and verifies what came out: a private key that is not the one of its public half is
 * noticed here. *sig_len is the room at sig and becomes the length. ERR_BAD_REQUEST. */
bool own_key_sign(const struct own_key *key, const struct scheme *scheme, const uint8_t *message,
                  size_t len, uint8_t *sig, size_t *sig_len, struct err *err) MUST_USE;

/* Frees; libcrypto wipes what was private. An empty one is fine. */
void own_key_free(struct own_key *key);

#endif
