/* SPDX-License-Identifier: Apache-2.0
 *
 * Public keys, between the attributes of PKCS#11 and the DER of RFC 5280. libcrypto writes the DER,
 * so one key has one SubjectPublicKeyInfo, whatever the token's habits: its SHA-256 is the key's
 * id. A point that is not on its curve is refused by libcrypto on the way.
 */
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "proto/base/mem.h"
#include "proto/base/rd.h"

#define ENCODING  "SubjectPublicKeyInfo"
#define RSA_MAX   512 /* bytes of a modulus of 4096 bits */
#define POINT_MAX 144

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cleanup_pkey_ctx(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

static void cleanup_bn(BIGNUM **p)
{
    BN_free(*p);
}

static void cleanup_params(OSSL_PARAM **p)
{
    OSSL_PARAM_free(*p);
}

static void cleanup_builder(OSSL_PARAM_BLD **p)
{
    OSSL_PARAM_BLD_free(*p);
}

static EVP_PKEY *from_params(const char *algorithm, OSSL_PARAM *params)
{
    CLEANUP(cleanup_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    EVP_PKEY *key = NULL;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return key;
}

/* ---- RSA */

static EVP_PKEY *rsa_key(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len)
{
    CLEANUP(cleanup_bn) BIGNUM *n_bn = BN_bin2bn(n, (int)n_len, NULL);
    CLEANUP(cleanup_bn) BIGNUM *e_bn = BN_bin2bn(e, (int)e_len, NULL);
    CLEANUP(cleanup_builder) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    CLEANUP(cleanup_params) OSSL_PARAM *params = NULL;

    if (!n_bn || !e_bn || !builder ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n_bn) ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e_bn))
        return NULL;
    params = OSSL_PARAM_BLD_to_param(builder);
    return params ? from_params("RSA", params) : NULL;
}

static bool read_rsa(struct token *t, token_handle object, EVP_PKEY **ret, struct err *err)
{
    uint8_t n[RSA_MAX + 1], e[RSA_MAX + 1];
    size_t n_len, e_len;

    TRY(attr_read(t, object, CKA_MODULUS, n, sizeof(n), &n_len, err));
    TRY(attr_read(t, object, CKA_PUBLIC_EXPONENT, e, sizeof(e), &e_len, err));
    *ret = rsa_key(n, n_len, e, e_len);
    return true;
}

/* ---- curves */

/* CKA_EC_POINT is a DER OCTET STRING by the standard (PKCS#11 v2.40 2.3.3), the bare point on some
 * tokens; which it is follows from the length, which is fixed. The wrapped one is at most 127 bytes
 * long, so its DER length is one byte. */
static bool unwrap_point(const uint8_t *p, size_t len, size_t point_len, const uint8_t **ret,
                         bool *ret_raw)
{
    struct rd r = rd_of(p, len);
    const uint8_t head[] = {0x04, (uint8_t)point_len};

    *ret_raw = len == point_len;
    if (!*ret_raw)
        rd_expect(&r, head, sizeof(head));
    *ret = rd_bytes(&r, point_len);
    return rd_end(&r);
}

static EVP_PKEY *ec_key(const char *group, const uint8_t *point, size_t len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, len),
        OSSL_PARAM_construct_end(),
    };

    return from_params("EC", params);
}

static bool read_point(struct token *t, token_handle object, const struct key_type_info *type,
                       EVP_PKEY **ret, bool *ret_raw, struct err *err)
{
    uint8_t attribute[POINT_MAX];
    const uint8_t *found;
    size_t len, field = (type->bits + 7u) / 8u;
    size_t point_len = type->kind == KEY_KIND_EC ? 1 + 2 * field : field;

    TRY(attr_read(t, object, CKA_EC_POINT, attribute, sizeof(attribute), &len, err));
    if (!unwrap_point(attribute, len, point_len, &found, ret_raw))
        return err_set(err, ERR_TOKEN, "CKA_EC_POINT of %zu bytes is no point of %s", len,
                       type->name);
    if (type->kind == KEY_KIND_EC)
        *ret = ec_key(type->group, found, point_len);
    else
        *ret = EVP_PKEY_new_raw_public_key_ex(NULL, type->group, NULL, found, point_len);
    return true;
}

/* ---- both */

bool spki_encode(const EVP_PKEY *key, uint8_t *spki, size_t *spki_len, struct err *err)
{
    OSSL_ENCODER_CTX *ctx =
        OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_PUBLIC_KEY, "DER", ENCODING, NULL);
    size_t room = SPKI_MAX_LEN;
    uint8_t *at = spki;
    bool ok = ctx && OSSL_ENCODER_to_data(ctx, &at, &room) == 1;

    OSSL_ENCODER_CTX_free(ctx);
    if (!ok)
        return err_set(err, ERR_INTERNAL, "libcrypto cannot encode the public key");
    *spki_len = SPKI_MAX_LEN - room;
    return true;
}

bool spki_read(struct token *t, token_handle public_key, enum key_type type, uint8_t *spki,
               size_t *spki_len, bool *ret_point_raw, struct err *err)
{
    const struct key_type_info *info = key_type_info(type);
    CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;
    bool raw = false;

    if (info->kind == KEY_KIND_RSA)
        TRY(read_rsa(t, public_key, &key, err));
    else
        TRY(read_point(t, public_key, info, &key, &raw, err));
    if (!key || (info->kind != KEY_KIND_ED25519 && EVP_PKEY_get_bits(key) != info->bits))
        return err_set(err, ERR_TOKEN, "the token gave no public key of type %s", info->name);
    TRY(spki_encode(key, spki, spki_len, err));
    if (ret_point_raw)
        *ret_point_raw = raw;
    return true;
}

/* Keys may come with compressed points: libcrypto would give them back so. */
bool spki_canonical(const uint8_t *der, size_t len, uint8_t *spki, size_t *spki_len,
                    struct err *err)
{
    CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;

    TRY(spki_decode(der, len, &key, err));
    if (EVP_PKEY_is_a(key, "EC") &&
        EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       "uncompressed") != 1)
        return err_set(err, ERR_INTERNAL, "libcrypto cannot write the public key's point");
    return spki_encode(key, spki, spki_len, err);
}

bool spki_decode(const uint8_t *spki, size_t spki_len, EVP_PKEY **ret, struct err *err)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&key, "DER", ENCODING, NULL, EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    const uint8_t *at = spki;
    size_t left = spki_len;
    bool ok = ctx && OSSL_DECODER_from_data(ctx, &at, &left) == 1 && key && left == 0;

    OSSL_DECODER_CTX_free(ctx);
    if (!ok) {
        EVP_PKEY_free(key);
        return err_set(err, ERR_BAD_REQUEST, "%zu bytes are no SubjectPublicKeyInfo", spki_len);
    }
    *ret = key;
    return true;
}
