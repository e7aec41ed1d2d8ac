/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/scheme.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* RFC 8446 4.2.3. Not here, and so never made: SHA-1, rsa_pss_pss_* (keys are rsaEncryption),
 * P-521, Ed448. ECDSA with SHA-512 is for TLS 1.2 and CSRs on the curves there are. */
static const struct scheme schemes[SCHEME_COUNT] = {
    {0x0401, "rsa_pkcs1_sha256", KEY_KIND_RSA, 256, SCHEME_PKCS1, KEY_TYPE_NONE},
    {0x0501, "rsa_pkcs1_sha384", KEY_KIND_RSA, 384, SCHEME_PKCS1, KEY_TYPE_NONE},
    {0x0601, "rsa_pkcs1_sha512", KEY_KIND_RSA, 512, SCHEME_PKCS1, KEY_TYPE_NONE},
    {0x0403, "ecdsa_secp256r1_sha256", KEY_KIND_EC, 256, SCHEME_NO_PADDING, KEY_TYPE_EC_P256},
    {0x0503, "ecdsa_secp384r1_sha384", KEY_KIND_EC, 384, SCHEME_NO_PADDING, KEY_TYPE_EC_P384},
    {0x0603, "ecdsa_secp521r1_sha512", KEY_KIND_EC, 512, SCHEME_NO_PADDING, KEY_TYPE_NONE},
    {0x0804, "rsa_pss_rsae_sha256", KEY_KIND_RSA, 256, SCHEME_PSS, KEY_TYPE_NONE},
    {0x0805, "rsa_pss_rsae_sha384", KEY_KIND_RSA, 384, SCHEME_PSS, KEY_TYPE_NONE},
    {0x0806, "rsa_pss_rsae_sha512", KEY_KIND_RSA, 512, SCHEME_PSS, KEY_TYPE_NONE},
    {0x0807, "ed25519", KEY_KIND_ED25519, 0, SCHEME_NO_PADDING, KEY_TYPE_NONE},
};

const struct scheme *scheme_by_code(uint32_t code)
{
    for (size_t i = 0; i < COUNT(schemes); i++) {
        if (schemes[i].code == code)
            return &schemes[i];
    }
    return NULL;
}

const struct scheme *scheme_at(size_t i)
{
    return i < COUNT(schemes) ? &schemes[i] : NULL;
}

size_t scheme_index(const struct scheme *scheme)
{
    return (size_t)(scheme - schemes);
}

const struct scheme *scheme_for_type(enum key_type type)
{
    switch (type) {
    case KEY_TYPE_RSA_2048:
    case KEY_TYPE_RSA_3072:
    case KEY_TYPE_RSA_4096:
        return scheme_by_code(0x0804);
    case KEY_TYPE_EC_P256:
        return scheme_by_code(0x0403);
    case KEY_TYPE_EC_P384:
        return scheme_by_code(0x0503);
    case KEY_TYPE_ED25519:
        return scheme_by_code(0x0807);
    case KEY_TYPE_NONE:
    case KEY_TYPE_COUNT:
        break;
    }
    return NULL;
}

const char *scheme_digest(const struct scheme *scheme)
{
    switch (scheme->hash_bits) {
    case 256:
        return "SHA2-256";
    case 384:
        return "SHA2-384";
    case 512:
        return "SHA2-512";
    default:
        return NULL;
    }
}

static bool fits(const struct scheme *s, const struct key_type_info *type, enum purpose purpose)
{
    bool tls13 = purpose == PURPOSE_TLS13_SERVER || purpose == PURPOSE_TLS13_CLIENT;

    if (s->kind != type->kind)
        return false;
    if (!tls13)
        return true;
    return s->padding != SCHEME_PKCS1 && (s->kind != KEY_KIND_EC || s->tls13_curve == type->type);
}

bool scheme_fits(const struct scheme *scheme, enum key_type type, enum purpose purpose,
                 struct err *err)
{
    const struct key_type_info *info = key_type_info(type);
    size_t len = 0;

    if (!info)
        return err_set(err, ERR_INTERNAL, "the key has no known type (%d)", (int)type);
    if (fits(scheme, info, purpose))
        return true;
    err_set(err, ERR_BAD_SCHEME, "%s (0x%04x) does not fit a key of type %s for %s", scheme->name,
            scheme->code, info->name, purpose_name(purpose));
    for (size_t i = 0; i < COUNT(schemes) && len < sizeof(err->hint); i++) {
        if (fits(&schemes[i], info, purpose))
            len += (size_t)snprintf(err->hint + len, sizeof(err->hint) - len, "%s0x%04x",
                                    len ? ", " : "these would: ", schemes[i].code);
    }
    return false;
}
