/* SPDX-License-Identifier: Apache-2.0
 *
 * wrapper: keys, and their wrapping for an import, piece by piece, so that a test can spoil each
 * piece. What a well-behaved client does is clients/libkeyd/import.c.
 */
#ifndef KEYD_TESTS_IMPORT_WRAPPER_H
#define KEYD_TESTS_IMPORT_WRAPPER_H

#include <openssl/evp.h>

#include "proto/import.h"

/* A private key and its public half, in DER. */
struct sample {
    EVP_PKEY *key;
    uint8_t spki[4096], pkcs8[IMPORT_PKCS8_MAX];
    size_t spki_len, pkcs8_len;
};

/* A new key: "ec-p256", "ec-p384", "ed25519", "rsa-2048" and so on with any size of RSA, "ec-NAME"
 * for any other curve of libcrypto. Freed with sample_free. */
struct sample *sample_new(const char *type);

/* Frees. NULL is fine. */
void sample_free(struct sample *s);

/* RFC 5649: writes the bytes wrapped under the AES-256 key to out (IMPORT_KEY_MAX); the length. */
size_t wrap_bytes(const uint8_t kek[IMPORT_KEK_LEN], const uint8_t *bytes, size_t len,
                  uint8_t *out);

/* RSA-OAEP: writes n bytes wrapped for the import key to out (IMPORT_KEK_MAX); the length. */
size_t wrap_for(const uint8_t *import_spki, size_t import_spki_len, enum import_hash hash,
                const uint8_t *kek, size_t n, uint8_t *out);

/* Both pieces of a key. */
struct wrapped {
    uint8_t kek[IMPORT_KEK_MAX], key[IMPORT_KEY_MAX];
    size_t kek_len, key_len;
};

/* The sample as it should be wrapped. */
void wrap_sample(const struct sample *s, const uint8_t *import_spki, size_t import_spki_len,
                 enum import_hash hash, struct wrapped *ret);

/* Signs by this scheme; the length of the signature. */
size_t sample_sign(const struct sample *s, const struct scheme *scheme, const uint8_t *message,
                   size_t len, uint8_t *sig, size_t room);

#endif
