/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/x509/quality.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/base/mem.h"

#define EXPONENT_MIN      65537
#define EXPONENT_MAX_BITS 64  /* libcrypto verifies with no longer one under big moduli */
#define SMALL_FACTOR_MAX  751 /* CA/Browser Forum Baseline Requirements 6.1.6 */

static const char taken[] = "keyd takes RSA of 2048, 3072 or 4096 bits, P-256, P-384 and Ed25519";

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cleanup_bn(BIGNUM **p)
{
    BN_free(*p);
}

static bool unsupported(struct err *err)
{
    return err_hint(err, "%s", taken);
}

/* ---- RSA */

static bool judge_exponent(const BIGNUM *e, unsigned bits, struct err *err)
{
    if (!BN_is_odd(e))
        err_set(err, ERR_UNSUPPORTED, "the public exponent of this RSA key is even");
    else if (BN_num_bits(e) > EXPONENT_MAX_BITS)
        err_set(err, ERR_UNSUPPORTED, "the public exponent of this RSA key has %d bits",
                BN_num_bits(e));
    else if (BN_num_bits(e) < 17)
        err_set(err, ERR_UNSUPPORTED, "the public exponent of this RSA-%u key is %lu", bits,
                (unsigned long)BN_get_word(e));
    else
        return true;
    return err_hint(err, "keyd takes odd exponents from %d to %d bits; 65537 is the usual one",
                    EXPONENT_MIN, EXPONENT_MAX_BITS);
}

static bool judge_modulus(const BIGNUM *n, struct err *err)
{
    for (BN_ULONG p = 2; p <= SMALL_FACTOR_MAX; p++)
        if (BN_mod_word(n, p) == 0)
            return err_set(err, ERR_UNSUPPORTED, "the modulus of this RSA key is divisible by %lu",
                           (unsigned long)p);
    return true;
}

static bool judge_rsa(const EVP_PKEY *key, const char **ret_type, struct err *err)
{
    static const struct {
        int bits;
        const char *type;
    } sizes[] = {{2048, "rsa-2048"}, {3072, "rsa-3072"}, {4096, "rsa-4096"}};
    CLEANUP(cleanup_bn) BIGNUM *n = NULL;
    CLEANUP(cleanup_bn) BIGNUM *e = NULL;
    int bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
        return err_set(err, ERR_BAD_REQUEST, "this RSA key has no modulus and exponent");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i].bits != bits)
            continue;
        TRY(judge_exponent(e, (unsigned)bits, err));
        TRY(judge_modulus(n, err));
        *ret_type = sizes[i].type;
        return true;
    }
    err_set(err, ERR_UNSUPPORTED, "this is an RSA key of %d bits", bits);
    return unsupported(err);
}

/* ---- curves */

static bool judge_ec(const EVP_PKEY *key, const char **ret_type, struct err *err)
{
    char curve[64] = "";
    int nid = NID_undef, spelled = 0;
    uint8_t point[160];
    size_t len = 0;

    if (EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1)
        nid = OBJ_sn2nid(curve);
    if (nid != NID_X9_62_prime256v1 && nid != NID_secp384r1) {
        err_set(err, ERR_UNSUPPORTED, "this is a key on the curve %s",
                *curve ? curve : "of its own parameters");
        return unsupported(err);
    }
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) !=
            1 ||
        len == 0 || point[0] != 0x04)
        return err_set(err, ERR_BAD_REQUEST, "the point of this public key is not uncompressed");
    if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled) !=
            1 ||
        spelled != 0)
        return err_set(err, ERR_BAD_REQUEST, "the curve of this public key is not named");
    *ret_type = nid == NID_X9_62_prime256v1 ? "ec-p256" : "ec-p384";
    return true;
}

/* ---- any */

static bool judge_type(const EVP_PKEY *key, const char **ret_type, struct err *err)
{
    const char *name = EVP_PKEY_get0_type_name(key);

    if (EVP_PKEY_is_a(key, "RSA"))
        return judge_rsa(key, ret_type, err);
    if (EVP_PKEY_is_a(key, "EC"))
        return judge_ec(key, ret_type, err);
    if (EVP_PKEY_is_a(key, "ED25519")) {
        *ret_type = "ed25519";
        return true;
    }
    if (EVP_PKEY_is_a(key, "RSA-PSS"))
        err_set(err, ERR_UNSUPPORTED, "this is an RSA key for PSS alone (id-RSASSA-PSS)");
    else
        err_set(err, ERR_UNSUPPORTED, "this is a key of the type %s", name ? name : "unknown");
    return unsupported(err);
}

/* One key has one SubjectPublicKeyInfo: its hash is the key's id. */
static bool is_canonical(EVP_PKEY *key, const uint8_t *spki, size_t len)
{
    uint8_t *again = NULL;
    int n = i2d_PUBKEY(key, &again);
    bool same = n > 0 && (size_t)n == len && memcmp(again, spki, len) == 0;

    OPENSSL_free(again);
    return same;
}

bool quality_judge(const uint8_t *spki, size_t len, const char **ret_type, struct err *err)
{
    const uint8_t *at = spki;
    const char *type = NULL;

    if (len > QUALITY_SPKI_MAX)
        return err_set(err, ERR_TOO_LARGE, "a public key of %zu bytes; at most %d are looked at",
                       len, QUALITY_SPKI_MAX);
    CLEANUP(cleanup_pkey) EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
    if (!key || at != spki + len) {
        err_set(err, ERR_BAD_REQUEST, "these %zu bytes are no SubjectPublicKeyInfo of a known type",
                len);
        return unsupported(err);
    }
    TRY(judge_type(key, &type, err));
    if (!is_canonical(key, spki, len))
        return err_set(err, ERR_BAD_REQUEST, "the public key is not written in DER's one way");
    *ret_type = type;
    return true;
}
