/* SPDX-License-Identifier: Apache-2.0
 *
 * import: what both ends of a wrapped import must agree on: sizes, hashes, and the message that the
 * incoming key itself signs (README.md, Import). That signature shows that whoever sends the key
 * has it, and ties the wrapped bytes to one nonce, one tenant and one name: recorded, they are of
 * no use to anyone else.
 */
#ifndef KEYD_PROTO_IMPORT_H
#define KEYD_PROTO_IMPORT_H

#include "proto/scheme.h"

#define IMPORT_NONCE_LEN 32
#define IMPORT_KEK_LEN   32                      /* AES-256 */
#define IMPORT_PKCS8_MAX 16384                   /* bytes of the PrivateKeyInfo */
#define IMPORT_KEK_MAX   512                     /* bytes of the wrapped AES key: RSA-4096 */
#define IMPORT_KEY_MAX   (IMPORT_PKCS8_MAX + 16) /* bytes of the wrapped PrivateKeyInfo */

/* The hash of RSA-OAEP and its MGF1. As enum ImportHash in keyd.proto. */
enum import_hash { IMPORT_HASH_NONE = 0, IMPORT_HASH_SHA1 = 1, IMPORT_HASH_SHA256 = 2 };

/* libcrypto's name of the hash ("SHA2-256"); NULL for one that is not known. */
const char *import_hash_name(enum import_hash hash);

/* What an import claims. All is borrowed. */
struct import_claim {
    const uint8_t *nonce;      /* IMPORT_NONCE_LEN bytes */
    const uint8_t *import_key; /* KEY_ID_LEN bytes, of the key that it is wrapped for */
    const uint8_t *key;        /* KEY_ID_LEN bytes, of the key that comes in */
    const char *tenant, *name;
    uint32_t purposes; /* as sent */
    const uint8_t *wrapped_kek, *wrapped_key;
    size_t wrapped_kek_len, wrapped_key_len;
};

#define IMPORT_MESSAGE_MAX 512

/* Writes the message that proves the claim to out (IMPORT_MESSAGE_MAX bytes). ERR_BAD_REQUEST for a
 * tenant or name that is too long for it. */
bool import_message(const struct import_claim *claim, uint8_t *out, size_t *ret_len,
                    struct err *err) MUST_USE;

#endif
