/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: the words for keys that both ends share: types, purposes, names and ids.
 */
#ifndef KEYD_PROTO_KEYS_H
#define KEYD_PROTO_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define KEY_ID_LEN     32
#define KEY_ID_HEX_LEN 64
#define NAME_MAX_LEN   63 /* of a tenant's or key's name */
#define SPKI_MAX_LEN   1024

/* As enum KeyType in keyd.proto. */
enum key_type {
    KEY_TYPE_NONE = 0,
    KEY_TYPE_RSA_2048 = 1,
    KEY_TYPE_RSA_3072 = 2,
    KEY_TYPE_RSA_4096 = 3,
    KEY_TYPE_EC_P256 = 4,
    KEY_TYPE_EC_P384 = 5,
    KEY_TYPE_ED25519 = 6,
    KEY_TYPE_COUNT
};

enum key_kind { KEY_KIND_NONE, KEY_KIND_RSA, KEY_KIND_EC, KEY_KIND_ED25519 };

struct key_type_info {
    enum key_type type;
    const char *name; /* "ec-p256" */
    enum key_kind kind;
    uint16_t bits;     /* of the modulus or the field */
    const char *group; /* OpenSSL's name of the curve; NULL for RSA */
};

/* The row of a type; NULL for one that is not known. */
const struct key_type_info *key_type_info(enum key_type type);

/* The type with that name ("rsa-2048"); KEY_TYPE_NONE if there is none. */
enum key_type key_type_by_name(const char *name);

/* What a key may sign; bits, as enum Purpose in keyd.proto. */
enum purpose {
    PURPOSE_TLS13_SERVER = 1,
    PURPOSE_TLS13_CLIENT = 2,
    PURPOSE_TLS12_SERVER = 4,
    PURPOSE_CSR = 8,
    PURPOSE_ACME_JWS = 16,
    PURPOSE_CHECKPOINT = 32,
    PURPOSE_RAW = 64,
};

#define PURPOSES_TLS     (PURPOSE_TLS13_SERVER | PURPOSE_TLS13_CLIENT | PURPOSE_TLS12_SERVER)
#define PURPOSES_DEFAULT (PURPOSE_TLS13_SERVER | PURPOSE_TLS12_SERVER | PURPOSE_CSR)
#define PURPOSES_ALL     127

/* The name of one purpose bit ("tls13-server"); "none" if it is no single known bit. */
const char *purpose_name(enum purpose purpose);

/* The purpose with that name; 0 if there is none. */
enum purpose purpose_by_name(const char *name);

/* Writes the names of all bits, with ", " between them; cut at size (at least 1). Returns buf. */
const char *purposes_text(uint32_t purposes, char *buf, size_t size);

/* The key's id: SHA-256 over its DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7). False only when
 * libcrypto has no SHA-256. */
bool key_id_of(const uint8_t *spki, size_t len, uint8_t ret[KEY_ID_LEN]) MUST_USE;

/* n bytes in lower-case hex and a final zero: 2 n + 1 bytes at out. Returns out. */
char *hex_encode(const uint8_t *p, size_t n, char *out);

/* Reads exactly 2 n hex digits of either case into out. False if s is something else. */
bool hex_decode(const char *s, uint8_t *out, size_t n) MUST_USE;

/* A tenant's or key's name: [a-z0-9][a-z0-9._-]{0,62}. `what` ("tenant") stands in the error. */
bool name_check(const char *name, const char *what, struct err *err) MUST_USE;

#endif
