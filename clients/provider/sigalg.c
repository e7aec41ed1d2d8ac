/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/provider/sigalg.h"

#include <openssl/rsa.h>
#include <strings.h>

/* sha256WithRSAEncryption and its like, with NULL as parameters (RFC 4055 5, RFC 8017 A.2.4). */
#define RSA_PKCS1(last)                                                                            \
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last, 0x05, 0x00

/* ecdsa-with-SHA256 and its like, without parameters (RFC 5758 3.2). */
#define ECDSA_WITH(last) 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last

/* id-sha256 and its like, with NULL as parameters (RFC 4055 2.1). */
#define SHA2_WITH_NULL(last)                                                                       \
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00

/* id-RSASSA-PSS with hash, MGF1 of the same hash, and a salt as long as it (RFC 4055 3.1). */
#define RSA_PSS(hash, salt)                                                                        \
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34,      \
        0xa0, 0x0f, SHA2_WITH_NULL(hash), 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48,    \
        0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, SHA2_WITH_NULL(hash), 0xa2, 0x03, 0x02, 0x01, salt

static const uint8_t pkcs1_sha256[] = {RSA_PKCS1(0x0b)};
static const uint8_t pkcs1_sha384[] = {RSA_PKCS1(0x0c)};
static const uint8_t pkcs1_sha512[] = {RSA_PKCS1(0x0d)};
static const uint8_t pss_sha256[] = {RSA_PSS(0x01, 32)};
static const uint8_t pss_sha384[] = {RSA_PSS(0x02, 48)};
static const uint8_t pss_sha512[] = {RSA_PSS(0x03, 64)};
static const uint8_t ecdsa_sha256[] = {ECDSA_WITH(0x02)};
static const uint8_t ecdsa_sha384[] = {ECDSA_WITH(0x03)};
static const uint8_t ecdsa_sha512[] = {ECDSA_WITH(0x04)};
static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70}; /* RFC 8410 3 */

#define PKCS1 RSA_PKCS1_PADDING
#define PSS   RSA_PKCS1_PSS_PADDING
#define ID(x) x, sizeof(x)

/* 0x04 to 0x06 mean ECDSA with that hash on any curve: TLS 1.3, which means one curve by each, has
 * made sure of the right one before it comes here. */
static const struct sigalg sigalgs[] = {
    {PKEY_EC, DIGEST_SHA256, 0, 0x0403, ID(ecdsa_sha256)},
    {PKEY_EC, DIGEST_SHA384, 0, 0x0503, ID(ecdsa_sha384)},
    {PKEY_EC, DIGEST_SHA512, 0, 0x0603, ID(ecdsa_sha512)},
    {PKEY_RSA, DIGEST_SHA256, PKCS1, 0x0401, ID(pkcs1_sha256)},
    {PKEY_RSA, DIGEST_SHA384, PKCS1, 0x0501, ID(pkcs1_sha384)},
    {PKEY_RSA, DIGEST_SHA512, PKCS1, 0x0601, ID(pkcs1_sha512)},
    {PKEY_RSA, DIGEST_SHA256, PSS, 0x0804, ID(pss_sha256)},
    {PKEY_RSA, DIGEST_SHA384, PSS, 0x0805, ID(pss_sha384)},
    {PKEY_RSA, DIGEST_SHA512, PSS, 0x0806, ID(pss_sha512)},
    {PKEY_RSA_PSS, DIGEST_SHA256, PSS, 0x0809, ID(pss_sha256)},
    {PKEY_RSA_PSS, DIGEST_SHA384, PSS, 0x080a, ID(pss_sha384)},
    {PKEY_RSA_PSS, DIGEST_SHA512, PSS, 0x080b, ID(pss_sha512)},
    {PKEY_ED25519, DIGEST_NONE, 0, 0x0807, ID(ed25519)},
};

const struct sigalg *sigalg_find(enum pkey_kind kind, enum digest digest, int padding)
{
    for (size_t i = 0; i < sizeof(sigalgs) / sizeof(*sigalgs); i++) {
        const struct sigalg *s = &sigalgs[i];

        if (s->kind == kind && s->digest == digest && s->padding == padding)
            return s;
    }
    return NULL;
}

/* libssl says "SHA256" and "SHA2-256" within one handshake. */
static const struct {
    const char *names[4];
    int size;
} digests[] = {
    [DIGEST_NONE] = {{""}, 0},
    [DIGEST_SHA256] = {{"SHA256", "SHA2-256", "SHA-256", "2.16.840.1.101.3.4.2.1"}, 32},
    [DIGEST_SHA384] = {{"SHA384", "SHA2-384", "SHA-384", "2.16.840.1.101.3.4.2.2"}, 48},
    [DIGEST_SHA512] = {{"SHA512", "SHA2-512", "SHA-512", "2.16.840.1.101.3.4.2.3"}, 64},
};

enum digest digest_by_name(const char *name)
{
    for (enum digest digest = DIGEST_SHA256; digest <= DIGEST_SHA512; digest++)
        for (size_t i = 0; i < 4; i++)
            if (strcasecmp(name, digests[digest].names[i]) == 0)
                return digest;
    return DIGEST_NONE;
}

const char *digest_name(enum digest digest)
{
    return digests[digest].names[0];
}

int digest_size(enum digest digest)
{
    return digests[digest].size;
}
