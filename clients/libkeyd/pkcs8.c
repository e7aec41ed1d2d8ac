/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/pkcs8.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/rd.h"
#include "proto/base/secret.h"

#define SCRATCH   8192 /* bytes of all numbers of a key */
#define NUMBERS   8    /* of an RSA key */
#define POINT_MAX 97   /* P-384, uncompressed */

static void cleanup_ctx(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

static void cleanup_md_ctx(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

static void cleanup_object(ASN1_OBJECT **p)
{
    ASN1_OBJECT_free(*p);
}

/* ---- DER (X.690): one value after another */

enum {
    INTEGER = 0x02,
    BIT_STRING = 0x03,
    OCTETS = 0x04,
    NULLS = 0x05,
    OID = 0x06,
    SEQUENCE = 0x30
};

/* The content of the next value, which must have this tag. */
static struct rd take(struct rd *r, uint8_t tag)
{
    if (rd_u8(r) != tag)
        r->failed = true;
    size_t n = rd_u8(r);
    if (n == 0x81)
        n = rd_u8(r);
    else if (n == 0x82)
        n = rd_u16(r);
    else if (n > 0x7f)
        r->failed = true; /* far too long for any key */
    return rd_sub(r, n);
}

static bool next_is(const struct rd *r, uint8_t tag)
{
    return !r->failed && r->at < r->end && *r->at == tag;
}

/* A number that is not negative, without the zeros before it. */
static struct rd take_number(struct rd *r)
{
    struct rd n = take(r, INTEGER);

    while (rd_left(&n) > 0 && *n.at == 0)
        n.at++;
    return n;
}

/* ---- what kind of key it is */

struct info {
    struct rd oid, params, key; /* contents of OIDs, of the private key */
};

static bool no_key(struct err *err)
{
    err_set(err, ERR_BAD_REQUEST, "this is no private key in DER PKCS#8 (PrivateKeyInfo)");
    return err_hint(err, "openssl pkcs8 -topk8 -nocrypt -outform DER makes one");
}

/* PrivateKeyInfo ::= SEQUENCE { version 0 or 1, SEQUENCE { OID, parameters }, OCTET STRING, ... }
 */
static bool read_info(const uint8_t *p, size_t len, struct info *ret, struct err *err)
{
    struct rd all = rd_of(p, len), body = take(&all, SEQUENCE), version = take(&body, INTEGER);
    struct rd algorithm = take(&body, SEQUENCE);
    uint8_t v = rd_u8(&version);

    *ret = (struct info){.oid = take(&algorithm, OID), .key = take(&body, OCTETS)};
    if (next_is(&algorithm, OID))
        ret->params = take(&algorithm, OID);
    else if (next_is(&algorithm, NULLS))
        (void)take(&algorithm, NULLS);
    bool spelled = rd_left(&algorithm) > 0; /* a curve by its parameters, PSS and so on */
    if (!rd_end(&all) || !rd_end(&version) || v > 1 || body.failed || algorithm.failed)
        return no_key(err);
    if (spelled)
        ret->params = rd_of(NULL, 0);
    return true;
}

static int nid_of(struct rd oid)
{
    const uint8_t *at;
    uint8_t der[2 + 32] = {OID, (uint8_t)rd_left(&oid)};
    size_t n = rd_left(&oid);

    if (oid.failed || n == 0 || n > 32)
        return NID_undef;
    memcpy(der + 2, oid.at, n);
    at = der;
    CLEANUP(cleanup_object) ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)(n + 2));
    return object ? OBJ_obj2nid(object) : NID_undef;
}

static bool unsupported(struct err *err)
{
    return err_hint(err, "keyd takes RSA of 2048, 3072 or 4096 bits, P-256, P-384 and Ed25519");
}

static bool other_type(int nid, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "this is a key of the type %s",
            nid == NID_undef ? "unknown" : OBJ_nid2sn(nid));
    return unsupported(err);
}

/* ---- into libcrypto */

/* Parameters whose bytes lie in locked memory. */
struct params {
    struct secret scratch;
    OSSL_PARAM list[NUMBERS + 3];
    size_t count;
};

static void params_free(struct params *p)
{
    secret_free(&p->scratch);
}

/* libcrypto wants numbers with the lowest byte first, on the machines that we know. */
static void put_number(struct params *p, const char *name, struct rd n)
{
    uint8_t *to = p->scratch.bytes + p->scratch.len;
    size_t len = rd_left(&n);

    for (size_t i = 0; i < len; i++)
        to[i] = n.at[len - 1 - i];
    p->scratch.len += len;
    p->list[p->count++] = OSSL_PARAM_construct_BN(name, to, len);
}

static bool from_params(const char *type, struct params *p, EVP_PKEY **ret, struct err *err)
{
    CLEANUP(cleanup_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    p->list[p->count] = OSSL_PARAM_construct_end();
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_KEYPAIR, p->list) == 1)
        return true;
    return err_set(err, ERR_BAD_REQUEST, "the numbers of this %s key are no key", type);
}

/* ---- RSA */

static bool rsa_type(struct rd modulus, enum key_type *ret, struct err *err)
{
    size_t bits = 8 * rd_left(&modulus);

    for (uint8_t b = bits ? *modulus.at : 0; b && !(b & 0x80); b = (uint8_t)(b << 1))
        bits--;
    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++) {
        const struct key_type_info *info = key_type_info((enum key_type)t);

        if (info->kind == KEY_KIND_RSA && info->bits == bits) {
            *ret = info->type;
            return true;
        }
    }
    err_set(err, ERR_UNSUPPORTED, "this is an RSA key of %zu bits", bits);
    return unsupported(err);
}

/* RSAPrivateKey ::= SEQUENCE { version 0, n, e, d, p, q, dp, dq, qinv } (RFC 8017 A.1.2) */
static bool read_rsa(struct own_key *k, const struct info *info, struct err *err)
{
    static const char *const names[NUMBERS] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    CLEANUP(params_free) struct params p = {.count = 0};
    struct rd all = info->key, body = take(&all, SEQUENCE), version = take_number(&body);
    struct rd numbers[NUMBERS];
    size_t sum = 0;

    for (size_t i = 0; i < NUMBERS; i++) {
        numbers[i] = take_number(&body);
        sum += rd_left(&numbers[i]);
    }
    if (!rd_end(&all) || !rd_end(&body) || rd_left(&version) > 0)
        return no_key(err);
    TRY(rsa_type(numbers[0], &k->type, err));
    if (sum > SCRATCH)
        return no_key(err);
    TRY(secret_new(&p.scratch, SCRATCH, err));
    for (size_t i = 0; i < NUMBERS; i++)
        put_number(&p, names[i], numbers[i]);
    return from_params("RSA", &p, &k->pkey, err);
}

/* ---- curves */

static bool curve_type(int nid, enum key_type *ret, struct err *err)
{
    if (nid == NID_X9_62_prime256v1)
        *ret = KEY_TYPE_EC_P256;
    else if (nid == NID_secp384r1)
        *ret = KEY_TYPE_EC_P384;
    else {
        err_set(err, ERR_UNSUPPORTED, "this is a key on the curve %s",
                nid == NID_undef ? "of its own parameters" : OBJ_nid2sn(nid));
        return unsupported(err);
    }
    return true;
}

/* The public point of a private number from 1 up to the curve's order: d times G. */
static bool public_point(int nid, struct rd d, uint8_t point[POINT_MAX], size_t *ret_len)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
    EC_POINT *q = group ? EC_POINT_new(group) : NULL;
    BIGNUM *number = BN_bin2bn(d.at, (int)rd_left(&d), NULL);

    if (q && number && !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
        EC_POINT_mul(group, q, number, NULL, NULL, NULL) == 1)
        *ret_len =
            EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, POINT_MAX, NULL);
    BN_clear_free(number);
    EC_POINT_free(q);
    EC_GROUP_free(group);
    return *ret_len > 0;
}

/* ECPrivateKey ::= SEQUENCE { version 1, OCTET STRING, [0] parameters, [1] BIT STRING } (RFC 5915).
 * The point that stands there is not needed: it follows from the number. */
static bool read_ec(struct own_key *k, const struct info *info, struct err *err)
{
    CLEANUP(params_free) struct params p = {.count = 0};
    struct rd all = info->key, body = take(&all, SEQUENCE), version = take_number(&body);
    struct rd d = take(&body, OCTETS);
    const struct key_type_info *type;
    uint8_t point[POINT_MAX];
    size_t point_len = 0;
    int nid = nid_of(info->params);

    TRY(curve_type(nid, &k->type, err));
    type = key_type_info(k->type);
    if (!rd_end(&all) || body.failed || rd_left(&version) != 1 || *version.at != 1 ||
        rd_left(&d) == 0 || rd_left(&d) > type->bits / 8u)
        return no_key(err);
    if (!public_point(nid, d, point, &point_len))
        return err_set(err, ERR_BAD_REQUEST, "the number of this %s key is none of its curve",
                       type->name);
    TRY(secret_new(&p.scratch, SCRATCH, err));
    p.list[p.count++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                         (char *)(uintptr_t)type->group, 0);
    p.list[p.count++] =
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
    put_number(&p, OSSL_PKEY_PARAM_PRIV_KEY, d);
    return from_params("EC", &p, &k->pkey, err);
}

/* CurvePrivateKey ::= OCTET STRING (RFC 8410 7) */
static bool read_ed25519(struct own_key *k, const struct info *info, struct err *err)
{
    struct rd all = info->key, seed = take(&all, OCTETS);

    if (!rd_end(&all) || rd_left(&seed) != 32)
        return no_key(err);
    k->type = KEY_TYPE_ED25519;
    k->pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed.at, 32);
    return k->pkey || err_set(err, ERR_INTERNAL, "libcrypto knows no Ed25519");
}

/* ---- all */

static bool read_any(struct own_key *k, const struct info *info, struct err *err)
{
    int nid = nid_of(info->oid);

    switch (nid) {
    case NID_rsaEncryption:
        return read_rsa(k, info, err);
    case NID_X9_62_id_ecPublicKey:
        return read_ec(k, info, err);
    case NID_ED25519:
        return read_ed25519(k, info, err);
    default:
        return other_type(nid, err);
    }
}

static bool write_spki(struct own_key *k, struct err *err)
{
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(k->pkey, EVP_PKEY_PUBLIC_KEY, "DER",
                                                          "SubjectPublicKeyInfo", NULL);
    size_t room = sizeof(k->spki);
    uint8_t *at = k->spki;
    bool ok = ctx && OSSL_ENCODER_to_data(ctx, &at, &room) == 1;

    OSSL_ENCODER_CTX_free(ctx);
    k->spki_len = sizeof(k->spki) - room;
    return (ok && key_id_of(k->spki, k->spki_len, k->id)) ||
           err_set(err, ERR_INTERNAL, "libcrypto cannot encode the public key");
}

bool own_key_read(struct own_key *ret, const uint8_t *pkcs8, size_t len, struct err *err)
{
    struct own_key k = {.pkey = NULL};
    struct info info;

    TRY(read_info(pkcs8, len, &info, err));
    if (!read_any(&k, &info, err) || !write_spki(&k, err)) {
        own_key_free(&k);
        return false;
    }
    *ret = k;
    return true;
}

/* ---- signing */

static bool padded(EVP_PKEY_CTX *ctx, const struct scheme *scheme)
{
    return scheme->padding != SCHEME_PSS ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool verifies(const struct own_key *key, const struct scheme *scheme, const uint8_t *message,
                     size_t len, const uint8_t *sig, size_t sig_len)
{
    CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx; /* belongs to ctx */

    return ctx &&
           EVP_DigestVerifyInit_ex(ctx, &pctx, scheme_digest(scheme), NULL, NULL, key->pkey,
                                   NULL) == 1 &&
           padded(pctx, scheme) && EVP_DigestVerify(ctx, sig, sig_len, message, len) == 1;
}

bool own_key_sign(const struct own_key *key, const struct scheme *scheme, const uint8_t *message,
                  size_t len, uint8_t *sig, size_t *sig_len, struct err *err)
{
    CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx; /* belongs to ctx */

    if (!ctx ||
        EVP_DigestSignInit_ex(ctx, &pctx, scheme_digest(scheme), NULL, NULL, key->pkey, NULL) !=
            1 ||
        !padded(pctx, scheme))
        return err_set(err, ERR_INTERNAL, "libcrypto makes no %s signature", scheme->name);
    if (EVP_DigestSign(ctx, sig, sig_len, message, len) == 1 &&
        verifies(key, scheme, message, len, sig, *sig_len))
        return true;
    return err_set(err, ERR_BAD_REQUEST,
                   "the private numbers of this key do not fit its public ones");
}

void own_key_free(struct own_key *key)
{
    EVP_PKEY_free(key->pkey);
    *key = (struct own_key){.pkey = NULL};
}
