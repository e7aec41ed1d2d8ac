/* SPDX-License-Identifier: Apache-2.0
 *
 * scheme: the signature schemes of TLS (IANA TLS SignatureScheme, RFC 8446 4.2.3) that keyd makes.
 */
#ifndef KEYD_PROTO_SCHEME_H
#define KEYD_PROTO_SCHEME_H

#include "proto/keys.h"

#define SCHEME_COUNT 10

enum scheme_padding { SCHEME_NO_PADDING, SCHEME_PKCS1, SCHEME_PSS };

struct scheme {
    uint16_t code;    /* 0x0403 */
    const char *name; /* "ecdsa_secp256r1_sha256" */
    enum key_kind kind;
    uint16_t hash_bits; /* 256, 384, 512; 0: the whole message is signed (Ed25519) */
    enum scheme_padding padding;
    enum key_type
        tls13_curve; /* the one curve that TLS 1.3 means by it; KEY_TYPE_NONE: any or RSA */
};

/* The row of a code; NULL if keyd does not make it. */
const struct scheme *scheme_by_code(uint32_t code);

/* The i-th row, for i from 0 to SCHEME_COUNT - 1; NULL past the end. */
const struct scheme *scheme_at(size_t i);

/* The scheme by which keys of a type are tried, and prove themselves; NULL for a type that is not
 * known. */
const struct scheme *scheme_for_type(enum key_type type);

/* libcrypto's name of the scheme's hash, "SHA2-256"; NULL where the whole message is signed. */
const char *scheme_digest(const struct scheme *scheme);

/* The number of a row: i of scheme_at(i). */
size_t scheme_index(const struct scheme *scheme);

/* Whether a key of this type can make this scheme for this purpose. TLS 1.3: no PKCS#1 v1.5, and
 * the curve is fixed by the scheme (RFC 8446 4.2.3). TLS 1.2 and csr: 0x0403, 0x0503, 0x0603 mean
 * ECDSA with that hash on any curve (RFC 8446 4.2.3, "in TLS 1.2"). The error names schemes that
 * would fit. */
bool scheme_fits(const struct scheme *scheme, enum key_type type, enum purpose purpose,
                 struct err *err) MUST_USE;

#endif
