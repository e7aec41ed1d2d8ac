/* SPDX-License-Identifier: Apache-2.0
 *
 * What OpenSSL may ask of a loaded reference: all that is public, nothing that is private.
 */
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "tests/unit/provider/support.h"

static void test_certificate_matches(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i);
        X509 *own = load_cert(w, i), *other = load_cert(w, (i + 1) % TEST_KEYS);

        assert_int_equal(X509_check_private_key(own, key), 1);
        assert_quiet();
        assert_int_equal(X509_check_private_key(other, key), 0);
        ERR_clear_error();
        X509_free(own);
        X509_free(other);
        EVP_PKEY_free(key);
    }
}

/* Same type, another key. */
static void test_certificate_of_another_key(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY), *stranger = EVP_EC_gen("P-256");
    X509 *cert = load_cert(w, P256_KEY);

    X509_set_pubkey(cert, stranger);
    assert_int_equal(X509_check_private_key(cert, key), 0);
    ERR_clear_error();
    X509_free(cert);
    EVP_PKEY_free(stranger);
    EVP_PKEY_free(key);
}

static void test_equal(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *a = load_ref(w, i), *b = load_ref(w, i), *c = load_ref(w, (i + 1) % TEST_KEYS);

        assert_int_equal(EVP_PKEY_eq(a, b), 1);
        assert_int_equal(EVP_PKEY_eq(a, w->keys[i].key), 1);
        assert_int_equal(EVP_PKEY_eq(w->keys[i].key, a), 1);
        assert_quiet();
        assert_int_not_equal(EVP_PKEY_eq(a, c), 1);
        ERR_clear_error();
        EVP_PKEY_free(a);
        EVP_PKEY_free(b);
        EVP_PKEY_free(c);
    }
}

static void test_parameters_equal(void **state)
{
    struct world *w = *state;
    EVP_PKEY *a = load_ref(w, P256_KEY), *b = load_ref(w, P384_KEY);

    assert_int_equal(EVP_PKEY_parameters_eq(a, w->keys[P256_KEY].key), 1);
    assert_int_equal(EVP_PKEY_parameters_eq(w->keys[P256_KEY].key, a), 1);
    assert_quiet();
    assert_int_not_equal(EVP_PKEY_parameters_eq(a, b), 1);
    assert_int_not_equal(EVP_PKEY_parameters_eq(w->keys[P384_KEY].key, a), 1);
    ERR_clear_error();
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

static void test_sizes(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i), *soft = w->keys[i].key;
        char name[80], want[80];

        assert_int_equal(EVP_PKEY_get_bits(key), EVP_PKEY_get_bits(soft));
        assert_int_equal(EVP_PKEY_get_security_bits(key), EVP_PKEY_get_security_bits(soft));
        assert_int_equal(EVP_PKEY_get_size(key), EVP_PKEY_get_size(soft));
        assert_int_equal(EVP_PKEY_get_default_digest_name(key, name, sizeof(name)),
                         EVP_PKEY_get_default_digest_name(soft, want, sizeof(want)));
        assert_string_equal(name, want);
        if (i == P256_KEY || i == P384_KEY) {
            assert_true(EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) > 0);
            assert_true(EVP_PKEY_get_group_name(soft, want, sizeof(want), NULL) > 0);
            assert_string_equal(name, want);
        }
        assert_quiet();
        EVP_PKEY_free(key);
    }
}

/* `openssl pkey -pubout`, and a CSR's SubjectPublicKeyInfo. */
static void test_public_half_is_written(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i);
        uint8_t *der = NULL;
        int len = i2d_PUBKEY(key, &der);

        assert_int_equal(len, w->keys[i].spki_len);
        assert_memory_equal(der, w->keys[i].spki, (size_t)len);
        assert_quiet();
        OPENSSL_free(der);
        EVP_PKEY_free(key);
    }
}

static void test_public_parameters(void **state)
{
    struct world *w = *state;
    EVP_PKEY *rsa = load_ref(w, RSA_KEY), *ed = load_ref(w, ED25519_KEY);
    BIGNUM *n = NULL, *want = NULL;
    uint8_t raw[32], raw_want[32];
    size_t len = sizeof(raw);
    OSSL_PARAM *params = NULL;

    assert_true(EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &n));
    assert_true(EVP_PKEY_get_bn_param(w->keys[RSA_KEY].key, OSSL_PKEY_PARAM_RSA_N, &want));
    assert_int_equal(BN_cmp(n, want), 0);
    assert_true(EVP_PKEY_get_raw_public_key(ed, raw, &len));
    len = sizeof(raw_want);
    assert_true(EVP_PKEY_get_raw_public_key(w->keys[ED25519_KEY].key, raw_want, &len));
    assert_memory_equal(raw, raw_want, sizeof(raw));
    assert_true(EVP_PKEY_todata(rsa, EVP_PKEY_PUBLIC_KEY, &params));
    assert_quiet();
    OSSL_PARAM_free(params);
    BN_free(n);
    BN_free(want);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed);
}

/* ---- what is not given */

static void assert_not_encoded(EVP_PKEY *key, const char *format, const char *structure)
{
    OSSL_ENCODER_CTX *ctx =
        OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, format, structure, NULL);
    unsigned char *out = NULL;
    size_t len = 0;

    assert_int_equal(ctx && OSSL_ENCODER_to_data(ctx, &out, &len), 0);
    assert_null(out);
    OSSL_ENCODER_CTX_free(ctx);
}

static void test_private_half_is_refused(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i);
        OSSL_PARAM *params = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        uint8_t *der = NULL;

        assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 0);
        assert_null(params);
        assert_true(i2d_PrivateKey(key, &der) <= 0);
        assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 0);
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 0);
        assert_true(EVP_PKEY_print_private(bio, key, 0, NULL) <= 0 || BIO_pending(bio) == 0);
        assert_null(EVP_PKEY2PKCS8(key));
        assert_int_equal(BIO_pending(bio), 0);
        assert_not_encoded(key, "DER", "PrivateKeyInfo");
        assert_not_encoded(key, "PEM", "type-specific");
        ERR_clear_error();
        BIO_free(bio);
        EVP_PKEY_free(key);
    }
}

static void test_private_parameters_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1,
                                        OSSL_PKEY_PARAM_PRIV_KEY};
    uint8_t raw[64];
    size_t len = sizeof(raw);

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i);

        for (size_t j = 0; j < sizeof(names) / sizeof(*names); j++) {
            BIGNUM *n = NULL;

            assert_int_equal(EVP_PKEY_get_bn_param(key, names[j], &n), 0);
            assert_null(n);
        }
        assert_int_equal(EVP_PKEY_get_raw_private_key(key, raw, &len), 0);
        ERR_clear_error();
        EVP_PKEY_free(key);
    }
}

/* A key that only came in by import is a public one. */
static void test_imported_key_does_not_sign(void **state)
{
    struct world *w = *state;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(w->ctx, "EC", "provider=keyd");
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    assert_true(EVP_PKEY_todata(w->keys[P256_KEY].key, EVP_PKEY_PUBLIC_KEY, &params));
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
    assert_true(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) > 0);
    assert_quiet();
    assert_int_equal(EVP_PKEY_eq(key, w->keys[P256_KEY].key), 1);
    assert_true(EVP_DigestSignInit_ex(md, NULL, "SHA256", w->ctx, "provider=keyd", key, NULL) <= 0);
    assert_reason("no key to sign with");
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
}

/* Nobody puts a private key into keyd this way. */
static void test_private_import_is_refused(void **state)
{
    struct world *w = *state;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(w->ctx, "EC", "provider=keyd");
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    assert_true(EVP_PKEY_todata(w->keys[P256_KEY].key, EVP_PKEY_KEYPAIR, &params));
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
    assert_true(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0);
    assert_null(key);
    ERR_clear_error();
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_certificate_matches),
        TEST(test_certificate_of_another_key),
        TEST(test_equal),
        TEST(test_parameters_equal),
        TEST(test_sizes),
        TEST(test_public_half_is_written),
        TEST(test_public_parameters),
        TEST(test_private_half_is_refused),
        TEST(test_private_parameters_are_refused),
        TEST(test_imported_key_does_not_sign),
        TEST(test_private_import_is_refused),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
