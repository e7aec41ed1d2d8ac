/* SPDX-License-Identifier: Apache-2.0
 *
 * keyref: the key reference, the PEM that stands where a key file is expected. It names the key
 * and carries its public half; it holds no secret and no place where to ask.
 *
 *   -----BEGIN KEYD KEY REFERENCE-----
 *   KeydKeyReference ::= SEQUENCE {
 *       version  UTF8String ("keyd-ref-v1"),
 *       id       OCTET STRING (SIZE (32)),   -- SHA-256 over publicKey
 *       publicKey SubjectPublicKeyInfo }     -- RFC 5280 4.1.2.7
 *
 * Readers refuse another version, an id that does not fit the key, and trailing bytes.
 */
#ifndef KEYD_PROTO_KEYREF_H
#define KEYD_PROTO_KEYREF_H

#include "proto/keys.h"

#define KEYREF_LABEL   "KEYD KEY REFERENCE"
#define KEYREF_VERSION "keyd-ref-v1"
#define KEYREF_DER_MAX (SPKI_MAX_LEN + 64)
#define KEYREF_PEM_MAX (2 * KEYREF_DER_MAX)

struct keyref {
    uint8_t id[KEY_ID_LEN];
    const uint8_t *spki; /* borrowed from the DER that was read */
    size_t spki_len;
};

/* Reads the DER body. */
bool keyref_decode(const uint8_t *der, size_t len, struct keyref *ret, struct err *err) MUST_USE;

/* Writes the DER body for a SubjectPublicKeyInfo to out (KEYREF_DER_MAX bytes). */
bool keyref_encode(const uint8_t *spki, size_t spki_len, uint8_t *out, size_t *ret_len,
                   struct err *err) MUST_USE;

/* Writes the PEM, zero-terminated, to out (KEYREF_PEM_MAX bytes). */
bool keyref_to_pem(const uint8_t *spki, size_t spki_len, char *out, struct err *err) MUST_USE;

/* Finds and reads the first key reference in a PEM text; its DER is written to der (KEYREF_DER_MAX
 * bytes), from which ret borrows. */
bool keyref_from_pem(const char *pem, size_t len, uint8_t *der, struct keyref *ret,
                     struct err *err) MUST_USE;

#endif
