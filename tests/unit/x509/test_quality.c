/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/quality.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

struct spki {
    uint8_t *bytes;
    int len;
};

static struct spki spki_of(EVP_PKEY *key)
{
    struct spki s = {NULL, 0};

    assert_non_null(key);
    s.len = i2d_PUBKEY(key, &s.bytes);
    assert_true(s.len > 0);
    EVP_PKEY_free(key);
    return s;
}

static void takes(struct spki s, const char *type)
{
    const char *found = NULL;
    struct err err;

    if (!quality_judge(s.bytes, (size_t)s.len, &found, &err))
        fail_msg("%s is refused: %s", type, err.text);
    assert_string_equal(found, type);
    OPENSSL_free(s.bytes);
}

static void refuses(struct spki s, enum err_code code, const char *words)
{
    const char *found = "untouched";
    struct err err;

    if (quality_judge(s.bytes, (size_t)s.len, &found, &err))
        fail_msg("expected \"%s\", but it is taken as %s", words, found);
    if (err.code != code || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", got %s: %s", err_name(code), words, err_name(err.code),
                 err.text);
    assert_string_equal(found, "untouched");
    OPENSSL_free(s.bytes);
}

/* A public key of whatever modulus and exponent; both are freed. */
static EVP_PKEY *rsa_of(BIGNUM *n, BIGNUM *e)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

static BIGNUM *number(const char *hex)
{
    BIGNUM *bn = NULL;

    assert_true(BN_hex2bn(&bn, hex) > 0);
    return bn;
}

/* 2^(bits-1) + c: no prime, but c is chosen so that it has no small factor. */
static BIGNUM *modulus(int bits)
{
    BIGNUM *n = BN_new();
    bool small = true;

    assert_int_equal(BN_set_bit(n, bits - 1), 1);
    assert_int_equal(BN_add_word(n, 1), 1);
    while (small) {
        assert_int_equal(BN_add_word(n, 2), 1);
        small = false;
        for (BN_ULONG p = 3; p < 1000 && !small; p += 2)
            small = BN_mod_word(n, p) == 0;
    }
    return n;
}

static void what_is_taken(void **state)
{
    (void)state;
    takes(spki_of(EVP_EC_gen("P-256")), "ec-p256");
    takes(spki_of(EVP_EC_gen("P-384")), "ec-p384");
    takes(spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), "ed25519");
    takes(spki_of(EVP_RSA_gen(2048)), "rsa-2048");
    takes(spki_of(rsa_of(modulus(3072), number("10001"))), "rsa-3072");
    takes(spki_of(rsa_of(modulus(4096), number("10001"))), "rsa-4096");
    takes(spki_of(rsa_of(modulus(2048), number("FFFFFFFFFFFFFFFF"))), "rsa-2048");
}

static void rsa_that_is_not(void **state)
{
    static const struct {
        int bits;
        const char *e, *words;
    } cases[] = {
        {1024, "10001", "an RSA key of 1024 bits"},
        {2047, "10001", "an RSA key of 2047 bits"},
        {2056, "10001", "an RSA key of 2056 bits"},
        {8192, "10001", "an RSA key of 8192 bits"},
        {16384, "10001", "an RSA key of 16384 bits"},
        {2048, "3", "exponent of this RSA-2048 key is 3"},
        {3072, "FFFF", "exponent of this RSA-3072 key is 65535"},
        {2048, "1", "exponent of this RSA-2048 key is 1"},
        {2048, "10000", "exponent of this RSA key is even"},
        {2048, "10002", "exponent of this RSA key is even"},
        {4096, "10000000000000001", "exponent of this RSA key has 65 bits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(spki_of(rsa_of(modulus(cases[i].bits), number(cases[i].e))), ERR_UNSUPPORTED,
                cases[i].words);
    /* small factors */
    BIGNUM *n = modulus(2048);
    assert_int_equal(BN_sub_word(n, BN_mod_word(n, 751)), 1);
    if (!BN_is_odd(n))
        assert_int_equal(BN_add_word(n, 751), 1);
    refuses(spki_of(rsa_of(n, number("10001"))), ERR_UNSUPPORTED, "is divisible by");
    BIGNUM *even = modulus(2048);
    assert_int_equal(BN_add_word(even, 1), 1);
    refuses(spki_of(rsa_of(even, number("10001"))), ERR_UNSUPPORTED, "is divisible by 2");
}

static void other_keys(void **state)
{
    (void)state;
    refuses(spki_of(EVP_EC_gen("P-521")), ERR_UNSUPPORTED, "on the curve secp521r1");
    refuses(spki_of(EVP_EC_gen("P-224")), ERR_UNSUPPORTED, "on the curve secp224r1");
    refuses(spki_of(EVP_EC_gen("secp256k1")), ERR_UNSUPPORTED, "on the curve secp256k1");
    refuses(spki_of(EVP_EC_gen("brainpoolP256r1")), ERR_UNSUPPORTED, "the curve brainpoolP256r1");
    refuses(spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED448")), ERR_UNSUPPORTED, "the type ED448");
    refuses(spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "X25519")), ERR_UNSUPPORTED, "the type X25519");
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    EVP_PKEY *pss = NULL;
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &pss), 1);
    EVP_PKEY_CTX_free(ctx);
    refuses(spki_of(pss), ERR_UNSUPPORTED, "for PSS alone");
}

/* ---- one key, one SubjectPublicKeyInfo */

static void one_way_to_write_it(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    (void)state;
    struct spki s = spki_of(EVP_PKEY_dup(key));
    uint8_t *longer = OPENSSL_malloc((size_t)s.len + 2);
    /* a byte behind it */
    memcpy(longer, s.bytes, (size_t)s.len);
    longer[s.len] = 0;
    refuses((struct spki){longer, s.len + 1}, ERR_BAD_REQUEST, "no SubjectPublicKeyInfo");
    /* a length in two bytes where one is enough */
    longer = OPENSSL_malloc((size_t)s.len + 2);
    memcpy(longer, "\x30\x81", 2);
    memcpy(longer + 2, s.bytes + 1, (size_t)s.len - 1);
    refuses((struct spki){longer, s.len + 1}, ERR_BAD_REQUEST, "not written in DER's one way");
    /* not on the curve */
    uint8_t *off = OPENSSL_memdup(s.bytes, (size_t)s.len);
    off[s.len - 1] ^= 1;
    refuses((struct spki){off, s.len}, ERR_BAD_REQUEST, "no SubjectPublicKeyInfo");
    OPENSSL_free(s.bytes);
    /* a compressed point */
    EVP_PKEY *compressed = EVP_PKEY_dup(key);
    assert_int_equal(EVP_PKEY_set_utf8_string_param(
                         compressed, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"),
                     1);
    refuses(spki_of(compressed), ERR_BAD_REQUEST, "is not uncompressed");
    /* the curve by its parameters */
    EVP_PKEY *spelled = EVP_PKEY_dup(key);
    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(spelled, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    s = spki_of(spelled);
    assert_true(s.len > 200);
    refuses(s, ERR_BAD_REQUEST, "is not named");
    EVP_PKEY_free(key);
}

static void what_is_none(void **state)
{
    static const uint8_t text[] = "-----BEGIN PUBLIC KEY-----\n", empty[] = {0x30, 0x00};
    uint8_t *big = OPENSSL_zalloc(QUALITY_SPKI_MAX + 1);

    (void)state;
    refuses((struct spki){OPENSSL_memdup(text, sizeof(text)), sizeof(text)}, ERR_BAD_REQUEST,
            "no SubjectPublicKeyInfo");
    refuses((struct spki){OPENSSL_memdup(empty, 2), 2}, ERR_BAD_REQUEST, "these 2 bytes");
    refuses((struct spki){OPENSSL_memdup(empty, 2), 0}, ERR_BAD_REQUEST, "these 0 bytes");
    refuses((struct spki){big, QUALITY_SPKI_MAX + 1}, ERR_TOO_LARGE, "at most 16384");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken), cmocka_unit_test(rsa_that_is_not),
        cmocka_unit_test(other_keys),    cmocka_unit_test(one_way_to_write_it),
        cmocka_unit_test(what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
