/* SPDX-License-Identifier: Apache-2.0
 *
 * parts: what a private key is made of, read from its DER by hand and judged before any arithmetic
 * is done on it: numbers of absurd length cost nothing here.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_PARTS_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_PARTS_H

#include "proto/base/rd.h"
#include "proto/base/secret.h"

enum parts_kind { PARTS_RSA, PARTS_EC, PARTS_ED25519 };

struct curve;

struct parts { /* borrowed from the DER that was read */
    enum parts_kind kind;
    struct rd rsa;             /* RSAPrivateKey (RFC 8017 A.1.2), as a whole */
    struct rd n, e, p, q;      /* of RSA, without leading zeros */
    const struct curve *curve; /* of EC */
    struct rd secret;          /* EC: the scalar; Ed25519: the seed */
    struct rd point;           /* the public key beside it; empty if there is none */
};

enum parts_form { PARTS_UNKNOWN, PARTS_PKCS1, PARTS_SEC1, PARTS_PKCS8 };

/* Which of the forms of a private key in the clear the DER begins like. */
enum parts_form parts_form(const struct rd *der);

/* Reads a whole private key: RSAPrivateKey (RFC 8017 A.1.2), ECPrivateKey (RFC 5915 3) or
 * PrivateKeyInfo (RFC 5208 5; also version 1, RFC 5958 2), nothing after it. ERR_BAD_REQUEST: it is
 * damaged. ERR_UNSUPPORTED: keyd keeps no such keys. */
bool parts_read(const struct rd *der, enum parts_form form, struct parts *ret,
                struct err *err) MUST_USE;

/* Whether keyd keeps such a key: RSA of 2048, 3072 or 4096 bits with a sane exponent.
 * ERR_UNSUPPORTED says in what it is too weak, too long or odd. */
bool parts_judge(const struct parts *parts, struct err *err) MUST_USE;

/* The key's type (enum keyd_key_type), and its name for people. After parts_judge. */
int parts_type(const struct parts *parts, const char **ret_words);

/* Writes the key as PrivateKeyInfo in DER: version 0, no attributes. An EC key gets `point` (65 or
 * 97 bytes, uncompressed; NULL: none) as its public key. */
bool parts_write(const struct parts *parts, const uint8_t *point, size_t point_len,
                 struct secret *ret, struct err *err) MUST_USE;

/* Whether the public key that stands beside the private one, in any encoding, is the one that
 * belongs to it: `point` is that one, uncompressed. True if there is none. */
bool parts_point_fits(const struct parts *parts, const uint8_t *point, size_t point_len) MUST_USE;

#endif
