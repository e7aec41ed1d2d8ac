/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: one signature of a key in the token, in the encoding of TLS.
 */
#ifndef KEYD_TOKEN_SIGN_H
#define KEYD_TOKEN_SIGN_H

#include "keyd/token/keys.h"
#include "proto/scheme.h"

#define SIGNATURE_MAX 1024

/* Signs the message: hashes where the mechanism wants a digest, C_SignInit, C_Sign. *sig_len is the
 * room at sig (at least SIGNATURE_MAX) and becomes the length. ECDSA comes as DER Ecdsa-Sig-Value
 * (RFC 3279 2.2.3), from the token's r and s; RSA PKCS#1 with the DigestInfo of RFC 8017 9.2; PSS
 * with a salt as long as the hash. */
bool token_sign(struct token *t, token_handle key, const struct scheme *scheme,
                const uint8_t *message, size_t len, uint8_t *sig, size_t *sig_len,
                struct err *err) MUST_USE;

/* Verifies a signature under a DER SubjectPublicKeyInfo in software (libcrypto). ERR_TOKEN when it
 * does not fit. */
bool token_verify(const uint8_t *spki, size_t spki_len, const struct scheme *scheme,
                  const uint8_t *message, size_t len, const uint8_t *sig, size_t sig_len,
                  struct err *err) MUST_USE;

/* Signs a fixed test message ("keyd test signature" and random bytes) and verifies it: the proof
 * that this handle is this key. Every handle passes it before its first real signature. */
bool token_prove(struct token *t, token_handle key, enum key_type type, const uint8_t *spki,
                 size_t spki_len, struct err *err) MUST_USE;

#endif
