/* SPDX-License-Identifier: Apache-2.0
 *
 * What PKCS#11 wants for each type of key. CKA_ALLOWED_MECHANISMS is the wall below ours: RSA keys
 * do hashed signatures alone (so no raw PKCS#1, no RSA_X_509, no decryption), curves what TLS
 * needs.
 */
#include "keyd/token/internal.h"

static const CK_MECHANISM_TYPE rsa_mechanisms[] = {
    CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
    CKM_SHA256_RSA_PKCS,     CKM_SHA384_RSA_PKCS,     CKM_SHA512_RSA_PKCS,
};
static const CK_MECHANISM_TYPE ec_mechanisms[] = {CKM_ECDSA};
static const CK_MECHANISM_TYPE ed_mechanisms[] = {CKM_EDDSA};

static const uint8_t oid_p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
/* RFC 8410 (PKCS#11 3.1, SoftHSM), and the PrintableString of PKCS#11 3.0 2.3.10. */
static const uint8_t oid_ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
static const uint8_t name_ed25519[] = {0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
                                       'd',  's',  '2', '5', '5', '1', '9'};

#define RSA(type)                                                                                  \
    {                                                                                              \
        type, CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, rsa_mechanisms, COUNT(rsa_mechanisms),           \
        {                                                                                          \
            {NULL, 0},                                                                             \
        }                                                                                          \
    }

static const struct type_row rows[] = {
    RSA(KEY_TYPE_RSA_2048),
    RSA(KEY_TYPE_RSA_3072),
    RSA(KEY_TYPE_RSA_4096),
    {KEY_TYPE_EC_P256,
     CKK_EC,
     CKM_EC_KEY_PAIR_GEN,
     ec_mechanisms,
     COUNT(ec_mechanisms),
     {{oid_p256, sizeof(oid_p256)}}},
    {KEY_TYPE_EC_P384,
     CKK_EC,
     CKM_EC_KEY_PAIR_GEN,
     ec_mechanisms,
     COUNT(ec_mechanisms),
     {{oid_p384, sizeof(oid_p384)}}},
    {KEY_TYPE_ED25519,
     CKK_EC_EDWARDS,
     CKM_EC_EDWARDS_KEY_PAIR_GEN,
     ed_mechanisms,
     COUNT(ed_mechanisms),
     {{oid_ed25519, sizeof(oid_ed25519)}, {name_ed25519, sizeof(name_ed25519)}}},
};

const struct type_row *type_row(enum key_type type)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].type == type)
            return &rows[i];
    }
    return NULL;
}
